//! How a name is joined to its value.

use std::ops::Range;

use super::Reader;

/// How the value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Joint {
    /// `name=value` without spaces.
    Tight,
    /// `name = value`.
    Assign,
    /// `name: value`.
    Colon,
    /// `--name value`, and `ENV name value` in a Dockerfile.
    Option,
    /// `<name>value<`.
    Element,
    /// `name value`, `name is value`: only values that are nothing but tokens.
    Apart,
    /// `f("name", "value")`, `setName("value")`: only quoted values.
    Call,
}

impl Reader<'_> {
    /// How the name is joined to what follows, and where the value starts.
    pub fn joint(&self, name: &Range<usize>) -> Option<(Joint, usize)> {
        let mut at = self.skip(name.end, b"\\");
        let closed = b"\"'`".contains(&self.byte(at));
        at = if closed { self.skip(at + 1, b"]") } else { name.end };
        at = self.skip(at, b"*");
        let spaced = self.skip(at, b" \t");
        if spaced - at > 64 {
            return None;
        }
        let rest = &self.text.as_bytes()[spaced..];
        let assign =
            [&b":::="[..], b"::=", b"===", b"!==", b":=", b"=>", b"==", b"!=", b"+=", b".=", b"?=", b"|=", b"="];
        if let Some(sign) = assign.iter().find(|sign| rest.starts_with(sign)) {
            let value = self.skip(spaced + sign.len(), b" \t");
            let tight = spaced == at && value == spaced + sign.len() && *sign == b"=";
            return Some((if tight { Joint::Tight } else { Joint::Assign }, value));
        }
        if let Some(value) = self.beside(spaced, closed) {
            return Some((Joint::Assign, value));
        }
        if ["%3D", "%3d", "\\u003d"].iter().any(|sign| rest.starts_with(sign.as_bytes())) {
            return Some((Joint::Tight, spaced + if rest[0] == b'%' { 3 } else { 6 }));
        }
        match rest.first()? {
            b'|' if spaced > at => Some((Joint::Apart, self.skip(spaced + 1, b" \t`"))),
            b':' if rest.get(1) != Some(&b':') => Some(self.colon(spaced + 1)),
            b'>' if name.start > 0 && self.byte(name.start - 1) == b'<' => {
                Some((Joint::Element, self.skip(spaced + 1, b" \t\r\n")))
            }
            b'(' if !closed => Some((Joint::Call, self.skip(spaced + 1, b" "))),
            b',' if closed => Some((Joint::Call, self.skip(spaced + 1, b" \t\r\n"))),
            b'v' if closed && rest.starts_with(b"value=") => Some((Joint::Tight, spaced + 6)),
            _ if spaced > at && self.is_option(name.start) => Some((Joint::Option, spaced)),
            _ if spaced > at => {
                if rest.starts_with(b"is: ") {
                    return Some((Joint::Colon, self.skip(spaced + 3, b" ")));
                }
                let copulas: [&[u8]; 3] = [b"is ", b"- ", b"was "];
                let copula = copulas.iter().find(|word| rest.starts_with(word));
                let apart = (Joint::Apart, spaced + copula.map_or(0, |word| word.len()));
                Some(self.typed(spaced).unwrap_or(apart))
            }
            _ => None,
        }
    }

    /// Whether the name at `start` is an option of a command: `--password`, PowerShell's ` -Password`, Docker's `ENV PASSWORD`.
    fn is_option(&self, start: usize) -> bool {
        let before = &self.text.as_bytes()[..start];
        before.ends_with(b"--")
            || before.ends_with(b"ENV ")
            || (before.ends_with(b" -") && self.byte(start).is_ascii_uppercase())
    }

    /// Where the value stands that a list or a block gives the name: `name: X` and `value: ...` on the next line,
    /// `variable "X" {` and `default = ...` in the block.
    fn beside(&self, at: usize, closed: bool) -> Option<usize> {
        const BLOCK: usize = 256;
        let (word, sign, start) = match self.byte(at) {
            b'\n' | b'\r' => ("value", b':', self.skip(at, b" \t\r\n-")),
            b'{' if closed => {
                let end = self.text.floor_char_boundary(at.saturating_add(BLOCK));
                let block = self.text[at..end].split('}').next()?;
                ("default", b'=', at + block.find("default")?)
            }
            _ => return None,
        };
        let after = self.skip(self.text[start..].starts_with(word).then_some(start + word.len())?, b" \"");
        (self.byte(after) == sign).then(|| self.skip(after + 1, b" \t"))
    }

    /// After a colon: a value, a type with a value after it, or a YAML block with the value on the next line.
    fn colon(&self, after: usize) -> (Joint, usize) {
        let value = self.skip(after, b" \t*");
        if b"\r\n".contains(&self.byte(value)) {
            return (Joint::Apart, self.skip(value, b" \t\r\n"));
        }
        if b"|>".contains(&self.byte(value)) {
            let line = self.skip(value + 1, b"-+ \r");
            if self.byte(line) == b'\n' {
                return (Joint::Assign, self.skip(line, b" \t\r\n"));
            }
        }
        self.typed(value).unwrap_or((Joint::Colon, value))
    }

    /// `string = `: a type between a name and its value.
    fn typed(&self, at: usize) -> Option<(Joint, usize)> {
        const LONGEST: usize = 48;
        let rest = &self.text.as_bytes()[at..];
        let part = |b: &&u8| b.is_ascii_alphanumeric() || b"_:<>&".contains(b);
        let length = rest.iter().take(LONGEST).take_while(part).count();
        let sign = self.skip(at + length, b" ");
        let assigned =
            length > 0 && sign > at + length && self.byte(sign) == b'=' && !b"=>".contains(&self.byte(sign + 1));
        assigned.then(|| (Joint::Assign, self.skip(sign + 1, b" ")))
    }
}
