//! The process's log on stderr: one line an event, without control characters and without content.

use std::io::{self, Write};
use std::panic;

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// How the log's lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Console,
    Json,
}

/// Why the log was not set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("RUST_LOG is no filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    #[error("a log was set up before")]
    Twice,
}

/// Sets up the log of the whole process: our own events from `level` on, those of dependencies from `warn` on.
/// `rust_log`, the environment variable of that name, replaces both where it is set.
pub fn init(level: Level, encoding: Encoding, rust_log: Option<&str>) -> Result<(), LogError> {
    let filter = filter(level, rust_log)?;
    let builder = fmt().with_env_filter(filter).with_ansi(false).with_writer(|| OneLine(io::stderr()));
    match encoding {
        Encoding::Console => builder.try_init(),
        Encoding::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|_| LogError::Twice)?;
    panic::set_hook(Box::new(report_panic));
    Ok(())
}

fn filter(level: Level, rust_log: Option<&str>) -> Result<EnvFilter, LogError> {
    let own = format!("warn,sessionlake={level}");
    let directives = rust_log.filter(|directives| !directives.trim().is_empty()).unwrap_or(&own);
    Ok(EnvFilter::try_new(directives)?)
}

/// Says where, never what: a panic's message may quote the string that caused it.
fn report_panic(info: &panic::PanicHookInfo<'_>) {
    let (file, line) = info.location().map_or(("unknown", 0), |at| (at.file(), at.line()));
    tracing::error!(file, line, "panic");
}

/// Escapes control characters, so that no field can forge a second line or move a terminal's cursor. The formatter
/// writes an event with one call, with a newline at its end.
struct OneLine<W: Write>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let (text, end) = match event.split_last() {
            Some((b'\n', text)) => (text, "\n"),
            _ => (event, ""),
        };
        let text = String::from_utf8_lossy(text);
        let mut line = String::with_capacity(text.len() + 1);
        for char in text.chars() {
            if char.is_control() {
                line.extend(char.escape_default());
            } else {
                line.push(char);
            }
        }
        line.push_str(end);
        // Where it cannot be written (its disk is full), it is lost: the subscriber would print an error to the same
        // stream, panic over that, and report the panic there.
        let _ = self.0.write_all(line.as_bytes());
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_stays_one_line_without_escape_sequences() {
        let mut out = Vec::new();
        let event = "INFO a\r\nERROR forged \x1b[2J \u{9b}31m é\n";
        assert_eq!(OneLine(&mut out).write(event.as_bytes()).unwrap(), event.len());
        assert_eq!(String::from_utf8(out).unwrap(), "INFO a\\r\\nERROR forged \\u{1b}[2J \\u{9b}31m é\n");
    }

    #[test]
    fn dependencies_are_quiet_unless_rust_log_says_otherwise() {
        assert_eq!(filter(Level::DEBUG, None).unwrap().to_string(), "sessionlake=debug,warn");
        assert_eq!(filter(Level::DEBUG, Some(" ")).unwrap().to_string(), "sessionlake=debug,warn");
        assert_eq!(filter(Level::DEBUG, Some("trace")).unwrap().to_string(), "trace");
        assert!(matches!(filter(Level::INFO, Some("a=loud")), Err(LogError::Filter(_))));
    }
}
