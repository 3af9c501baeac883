//! What to do next: queries, addresses.

use std::path::Path;

use crate::model::Session;
use crate::run::Addresses;

use super::super::failure::Failure;
use super::super::render::safe::one_line;
use super::super::terminal;

/// Says where the tables are and how to query them.
pub fn print(data_dir: &Path) -> Result<(), Failure> {
    terminal::print(&text(&data_dir.join("lake").join("default"), data_dir, &terminal::program()))
}

/// What was found and replaced, by rule.
pub fn redactions(session: &Session) -> String {
    if session.redactions.is_empty() {
        return "  nothing: no built-in rule matched\n".to_owned();
    }
    let lines =
        session.redactions.iter().map(|r| format!("  {} ×{}  became  [REDACTED:{}]\n", r.rule, r.count, r.rule));
    one_line_each(lines)
}

fn one_line_each(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| format!("  {}\n", one_line(&line))).collect()
}

fn text(tables: &Path, data_dir: &Path, program: &str) -> String {
    let table = |name: &str| sql_quoted(&tables.join(name));
    let (events, sessions) = (table("events"), table("sessions"));
    format!(
        "
4. Query it yourself
The tables are Delta Lake, readable by DuckDB, Spark, Trino, Polars and others. In the DuckDB CLI:

  INSTALL delta; LOAD delta;
  SELECT session_id, user_id, cost_usd, model_calls, tool_calls, errors FROM delta_scan({sessions});
  SELECT seq, kind, model, cost_usd, content FROM delta_scan({events}) WHERE kind = 'model_call' ORDER BY seq;
  SELECT tool_name, count(*) AS calls, sum((NOT success)::INT) AS failed FROM delta_scan({events})
    WHERE kind = 'tool_call' GROUP BY ALL;

Or in Python, after: pip install duckdb duckdb-extension-delta

  import duckdb, glob, duckdb_extension_delta as package
  extension = glob.glob(package.__path__[0] + '/**/delta.duckdb_extension', recursive=True)[0]
  duckdb.sql(f\"LOAD '{{extension}}'\")
  duckdb.sql(\"\"\"SELECT * FROM delta_scan({sessions})\"\"\").show()

Or with this program:

  {program} sessions list --data-dir {dir}
  {program} sessions replay {id} --full --data-dir {dir}

The data stays in {shown} until you delete it.
",
        id = &super::capture::SESSION_ID[..8],
        program = shell_quoted(Path::new(program)),
        dir = shell_quoted(data_dir),
        shown = data_dir.display(),
    )
}

/// For `--keep`: where to send sessions of one's own.
pub fn endpoints(addresses: &Addresses) -> String {
    let program = shell_quoted(Path::new(&terminal::program()));
    let Addresses { grpc, http, health, metrics, sql } = addresses;
    let sql = sql.map(|sql| format!("\n  SQL, Grafana      postgresql://{sql}/default")).unwrap_or_default();
    format!(
        "
The collector keeps running:
  OTLP gRPC         http://{grpc}
  OTLP HTTP, hooks  http://{http}
  health            http://{health}/ready
  own metrics       http://{metrics}/metrics{sql}
To record a session of your own: eval \"$({program} connect claude-code --env --endpoint http://{http})\" && claude
Ctrl-C stops it.
"
    )
}

fn sql_quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "''"))
}

fn shell_quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_hold_the_real_path() {
        let dir = Path::new("/tmp/sessionlake-demo-7-1");
        insta::assert_snapshot!(text(&dir.join("lake/default"), dir, "sessionlake"), @r#"

        4. Query it yourself
        The tables are Delta Lake, readable by DuckDB, Spark, Trino, Polars and others. In the DuckDB CLI:

          INSTALL delta; LOAD delta;
          SELECT session_id, user_id, cost_usd, model_calls, tool_calls, errors FROM delta_scan('/tmp/sessionlake-demo-7-1/lake/default/sessions');
          SELECT seq, kind, model, cost_usd, content FROM delta_scan('/tmp/sessionlake-demo-7-1/lake/default/events') WHERE kind = 'model_call' ORDER BY seq;
          SELECT tool_name, count(*) AS calls, sum((NOT success)::INT) AS failed FROM delta_scan('/tmp/sessionlake-demo-7-1/lake/default/events')
            WHERE kind = 'tool_call' GROUP BY ALL;

        Or in Python, after: pip install duckdb duckdb-extension-delta

          import duckdb, glob, duckdb_extension_delta as package
          extension = glob.glob(package.__path__[0] + '/**/delta.duckdb_extension', recursive=True)[0]
          duckdb.sql(f"LOAD '{extension}'")
          duckdb.sql("""SELECT * FROM delta_scan('/tmp/sessionlake-demo-7-1/lake/default/sessions')""").show()

        Or with this program:

          sessionlake sessions list --data-dir /tmp/sessionlake-demo-7-1
          sessionlake sessions replay 9ffbc996 --full --data-dir /tmp/sessionlake-demo-7-1

        The data stays in /tmp/sessionlake-demo-7-1 until you delete it.
        "#);
    }

    #[test]
    fn paths_are_quoted_for_whoever_reads_them() {
        assert_eq!(sql_quoted(Path::new("/o'hara")), "'/o''hara'");
        assert_eq!(shell_quoted(Path::new("/o'hara x")), r"'/o'\''hara x'");
    }
}
