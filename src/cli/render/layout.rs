//! Blocks of text with something beside them, colours, and where lines break.

use super::safe;

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenderOptions {
    /// Columns of the terminal; at least 40 are used.
    pub width: usize,
    pub color: bool,
    /// Show texts whole instead of their first lines.
    pub full: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
    Accent,
}

/// Wraps clean text into a style, where colours are wanted.
pub fn paint(style: Style, text: &str, color: bool) -> String {
    let code = match style {
        Style::Plain => return text.to_owned(),
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Good => "32",
        Style::Bad => "31",
        Style::Accent => "36",
    };
    if color && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// One step of a timeline.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// Time since the session's start.
    pub offset: String,
    pub depth: usize,
    pub symbol: &'static str,
    pub title: String,
    pub title_style: Option<Style>,
    pub body: Vec<Part>,
    /// Lines at the right: cost, tokens, outcome.
    pub side: Vec<(Style, String)>,
}

/// A text in a block's body, not yet cleaned.
#[derive(Clone, Debug)]
pub struct Part {
    pub style: Style,
    pub text: String,
    /// Lines shown unless everything is asked for.
    pub lines: usize,
}

/// Columns of the time offset and of the right side.
const OFFSET: usize = 10;
const SIDE: usize = 30;
/// Deeper nesting is drawn like this.
const DEEPEST: usize = 6;

impl Block {
    /// Draws the block, ending with a line feed.
    pub fn draw(&self, options: RenderOptions, out: &mut String) {
        let indent = 2 * self.depth.min(DEEPEST);
        let left = options.width.max(40).saturating_sub(OFFSET + indent + 2);
        let beside = left >= SIDE + 24 && !self.side.is_empty();
        let columns = if beside { left - SIDE } else { left };
        let mut lines = self.left(columns, options.full);
        if !beside && !self.side.is_empty() {
            let side: Vec<&str> = self.side.iter().map(|(_, text)| text.as_str()).collect();
            lines.insert(1, (Style::Dim, safe::cut(&safe::one_line(&side.join(" · ")), columns)));
        }
        let side: &[(Style, String)] = if beside { &self.side } else { &[] };
        for row in 0..lines.len().max(side.len()) {
            self.row(row, indent, lines.get(row), side.get(row).map(|s| (s, columns)), options.color, out);
        }
    }

    /// Title and wrapped body.
    fn left(&self, columns: usize, full: bool) -> Vec<(Style, String)> {
        let title = safe::cut(&safe::one_line(&self.title), columns.saturating_sub(2));
        let mut lines = vec![(self.title_style.unwrap_or(Style::Bold), title)];
        for part in &self.body {
            let most = if full { usize::MAX } else { part.lines };
            let (wrapped, missing) = safe::wrap(&safe::clean(&part.text), columns.saturating_sub(2), most);
            lines.extend(wrapped.into_iter().map(|line| (part.style, line)));
            if missing {
                lines.push((Style::Dim, format!("… {} characters in all", part.text.chars().count())));
            }
        }
        lines
    }

    fn row(
        &self,
        row: usize,
        indent: usize,
        left: Option<&(Style, String)>,
        side: Option<(&(Style, String), usize)>,
        color: bool,
        out: &mut String,
    ) {
        let (style, text) = left.map_or((Style::Plain, ""), |(style, text)| (*style, text.as_str()));
        let (offset, symbol) = if row == 0 { (self.offset.as_str(), self.symbol) } else { ("", "") };
        let offset = paint(Style::Dim, &format!("{offset:>width$}", width = OFFSET - 2), color);
        let mut line = format!("{offset}  {:indent$}{symbol:<2}{}", "", paint(style, text, color));
        if let Some(((style, side), columns)) = side {
            let pad = columns.saturating_sub(safe::width(text));
            line.push_str(&" ".repeat(pad));
            line.push_str(&paint(*style, &safe::cut(&safe::one_line(side), SIDE), color));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}
