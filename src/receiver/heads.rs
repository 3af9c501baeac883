//! Looks at the heads of HTTP/1 requests before hyper does. A request whose length is said twice over
//! (`Content-Length` beside `Transfer-Encoding`), or whose transfer coding is not `chunked` alone, is how a second
//! request is smuggled past a proxy in front (RFC 9112 sections 6.1 and 11.2): it gets 400 and the connection ends.
//! hyper would drop the length silently and serve it.
//!
//! Such a head is broken as it passes (its end is taken away), so that hyper refuses it in its own words. Bytes are
//! looked at one by one in heads and chunk lines only; a line is remembered up to a bound. What the inspector does not
//! understand hyper will not either: it looks no further then.

/// How a connection over HTTP/2 begins (RFC 9113 section 3.4). It has no such heads.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// Of a line that many bytes are kept: the two names that matter and any value that is one, with some spaces.
const LINE: usize = 128;

/// Where in the connection the next byte is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// In a request's head.
    Head,
    /// In a body, with that many bytes to come.
    Body(u64),
    /// In the line before a chunk.
    ChunkSize,
    /// Behind a chunk's bytes.
    ChunkEnd,
    /// In the lines behind the last chunk.
    Trailers,
    /// Where nothing is looked for any more.
    Beyond,
}

/// Follows one connection's requests.
pub struct Inspector {
    place: Place,
    line: Vec<u8>,
    /// The head's first line was read.
    begun: bool,
    length: Option<u64>,
    chunked: bool,
    /// The head may not be served.
    bad: bool,
}

impl Inspector {
    pub fn new() -> Inspector {
        let place = Place::Head;
        Inspector { place, line: Vec::with_capacity(LINE), begun: false, length: None, chunked: false, bad: false }
    }

    /// Looks at what has arrived, and breaks the head that may not be served.
    pub fn pass(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.place {
                Place::Beyond => return,
                Place::Body(left) => {
                    let skip = (*left).min((bytes.len() - at) as u64);
                    *left -= skip;
                    at += skip as usize;
                    if *left == 0 {
                        self.place = if self.chunked { Place::ChunkEnd } else { self.next_head() };
                    }
                }
                _ => {
                    let byte = bytes[at];
                    if byte != b'\n' {
                        if self.line.len() < LINE {
                            self.line.push(byte);
                        }
                    } else if !self.end_of_line() {
                        bytes[at] = 0;
                        self.place = Place::Beyond;
                    }
                    at += 1;
                }
            }
        }
    }

    fn next_head(&mut self) -> Place {
        (self.begun, self.length, self.chunked) = (false, None, false);
        Place::Head
    }

    /// Takes a whole line; `false` when it ends a head that may not be served.
    fn end_of_line(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        match self.place {
            Place::Head if text.is_empty() && self.begun => {
                if self.bad {
                    return false;
                }
                self.place = match (self.chunked, self.length) {
                    (true, _) => Place::ChunkSize,
                    (false, None | Some(0)) => self.next_head(),
                    (false, Some(length)) => Place::Body(length),
                };
            }
            Place::Head if text.is_empty() => {}
            Place::Head if !self.begun && text == HTTP2_PREFACE => self.place = Place::Beyond,
            Place::Head if !self.begun => self.begun = true,
            Place::Head => self.header(text),
            Place::ChunkSize => {
                self.place = match chunk_size(text) {
                    Some(0) => Place::Trailers,
                    Some(size) => Place::Body(size),
                    None => Place::Beyond,
                }
            }
            Place::ChunkEnd => self.place = if text.is_empty() { Place::ChunkSize } else { Place::Beyond },
            Place::Trailers if text.is_empty() => self.place = self.next_head(),
            Place::Trailers | Place::Body(_) | Place::Beyond => {}
        }
        self.line = line;
        self.line.clear();
        true
    }

    fn header(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            // A second one is a list of two.
            self.bad |= self.chunked || self.length.is_some() || !value.eq_ignore_ascii_case(b"chunked");
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.bad |= self.chunked;
            // What is no number is refused by hyper.
            self.length = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok()).or(Some(0));
        }
    }
}

/// The size in front of a chunk; extensions may follow it.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nab\r\n\n\r\n0\r\nt: 1\r\n\r\n";
    const LONG: &str = "POST / HTTP/1.1\r\ncontent-length:  4\r\n\r\n\r\n\r\n";
    const SHORT: &str = "\r\nGET /x HTTP/1.1\nhost: x\n\n";
    const TWICE: &str = "POST / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n";

    /// Whether every piece of a connection's bytes passes as it is; the same however they are cut.
    fn passes(bytes: &str) -> bool {
        let outcome = |size: usize| {
            let (mut inspector, mut passed) = (Inspector::new(), bytes.as_bytes().to_vec());
            passed.chunks_mut(size).for_each(|piece| inspector.pass(piece));
            passed == bytes.as_bytes()
        };
        let whole = outcome(bytes.len().max(1));
        (1..bytes.len()).for_each(|size| assert_eq!(outcome(size), whole, "cut at every {size} bytes: {bytes:?}"));
        whole
    }

    #[test]
    fn requests_in_a_row_pass_whatever_their_bodies_are() {
        assert!(passes(&[CHUNKED, LONG, SHORT, CHUNKED, SHORT].concat()));
        let hidden = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n{TWICE}{SHORT}", TWICE.len());
        assert!(passes(&hidden), "a body is no head");
        assert!(passes(&format!(
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{TWICE}\r\n0\r\n\r\n",
            TWICE.len()
        )));
    }

    #[test]
    fn a_length_beside_a_coding_is_broken_wherever_it_stands() {
        for before in ["", SHORT, LONG, CHUNKED] {
            assert!(!passes(&format!("{before}{TWICE}")), "{before:?}");
        }
        let other = "POST / HTTP/1.1\nTRANSFER-ENCODING:chunked\nx: y\nContent-Length: 0\n\n";
        assert!(!passes(other));
    }

    #[test]
    fn any_coding_but_chunked_alone_is_broken() {
        for coding in ["identity", "gzip, chunked", "chunked, chunked", "\x0bchunked", "", &"chunked ".repeat(100)] {
            assert!(!passes(&format!("POST / HTTP/1.1\r\ntransfer-encoding: {coding}\r\n\r\n0\r\n\r\n")), "{coding:?}");
        }
        assert!(!passes("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n"));
    }

    #[test]
    fn http2_and_nonsense_are_not_touched() {
        assert!(passes(&format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{TWICE}")));
        let lost = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{TWICE}");
        assert!(passes(&lost), "hyper refuses the chunk");
    }

    #[test]
    fn a_line_of_any_length_is_remembered_up_to_a_bound() {
        let mut inspector = Inspector::new();
        (0..100).for_each(|_| inspector.pass(&mut [b'a'; 1000]));
        assert_eq!(inspector.line.len(), LINE);
        assert!(inspector.line.capacity() < 4 * LINE);
    }
}
