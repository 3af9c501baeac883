//! What became of the records that were acknowledged, read from the tables with DuckDB and from the files' bytes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use base64::Engine;

use crate::bodies::{Bodies, CANARY};
use crate::load::Ledger;
use crate::query::Lake;

/// Within that time of the fault's end, everything acknowledged must be in the tables...
pub const DRAINED: Duration = Duration::from_secs(120);
/// ... and after that one it is not waited for any more, s.
pub const PATIENCE_S: u32 = 600;

/// The counts that a fault is judged by.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub acknowledged: u64,
    pub stored: u64,
    pub duplicate: u64,
    pub lost: u64,
    /// Records whose content is not what was sent.
    pub altered: u64,
    /// Places where a secret's bytes were found.
    pub unredacted: u64,
    /// From the fault's end until all of it was in `facts`.
    pub stored_after: Duration,
    /// And in `events`.
    pub drained: Duration,
}

/// The acknowledged batches as ranges of record numbers, for DuckDB.
pub fn write_ledger(file: &Path, bodies: &Bodies, ledger: &Ledger) {
    let records = bodies.plan().records;
    let mut text = String::from("first,last\n");
    for batch in ledger.batches() {
        writeln!(text, "{},{}", batch * records, (batch + 1) * records - 1).unwrap();
    }
    fs::write(file, text).unwrap();
}

/// `acked(n)` and `stored(n, times)`: the records that were acknowledged, and those that a table holds.
fn tables(file: &Path, bodies: &Bodies, table: &str) -> String {
    let (file, run) = (file.display(), bodies.run());
    format!(
        "acked AS (SELECT unnest(generate_series(first, last)) n
                   FROM read_csv('{file}', header=true, columns={{'first': 'BIGINT', 'last': 'BIGINT'}})),
         stored AS (SELECT substr(request_id, 5)::BIGINT n, count(*) times FROM {table}
                    WHERE starts_with(session_id, '{run}-') AND request_id IS NOT NULL GROUP BY 1)"
    )
}

fn missing(file: &Path, bodies: &Bodies, table: &str) -> String {
    let tables = tables(file, bodies, table);
    format!("(WITH {tables} SELECT count(*) FROM acked ANTI JOIN stored USING (n))")
}

fn counts(file: &Path, bodies: &Bodies, table: &str) -> String {
    let tables = tables(file, bodies, table);
    format!(
        "WITH {tables} SELECT (SELECT count(*) FROM stored) AS stored,
            (SELECT coalesce(sum(times - 1), 0)::BIGINT FROM stored) AS duplicate,
            (SELECT count(*) FROM acked ANTI JOIN stored USING (n)) AS lost,
            (SELECT count(*) FROM acked) AS acknowledged"
    )
}

/// Waits until everything acknowledged is in `facts` and folded into `events`, and counts.
pub fn judge(lake: &Lake, bodies: &Bodies, ledger: &Ledger, file: &Path, since: Instant) -> Verdict {
    write_ledger(file, bodies, ledger);
    let run = bodies.run();
    lake.when(&format!("SELECT {} = 0", missing(file, bodies, "facts")), &[]);
    let stored_after = since.elapsed();
    let folded = format!(
        "SELECT (SELECT count(DISTINCT fact_id) FROM facts WHERE starts_with(session_id, '{run}-'))
            = (SELECT coalesce(sum(len(fact_ids)), 0) FROM events WHERE starts_with(session_id, '{run}-'))"
    );
    lake.when(&folded, &[]);
    let drained = since.elapsed();
    let altered = format!(
        "SELECT count(*) n FROM facts WHERE starts_with(session_id, '{run}-') AND request_id IS NOT NULL
            AND NOT (contains(attributes, 'payload-' || substr(request_id, 5)) AND contains(attributes, 'inside'))"
    );
    let cost = format!(
        "SELECT (SELECT sum(cost_usd) FROM sessions WHERE starts_with(session_id, '{run}-'))
              = (SELECT count(DISTINCT request_id) * 0.001 FROM facts WHERE starts_with(session_id, '{run}-')) exact"
    );
    let queries = [counts(file, bodies, "facts"), counts(file, bodies, "events"), altered, cost];
    let rows = lake.when("SELECT true", &queries.each_ref().map(String::as_str));
    let number = |query: usize, column: &str| rows[query][0][column].as_u64().unwrap();
    assert_eq!(rows[3][0]["exact"], true, "the sessions' costs are not the sum of what was acknowledged or stored");
    Verdict {
        acknowledged: number(0, "acknowledged"),
        stored: number(0, "stored"),
        duplicate: number(0, "duplicate") + number(1, "duplicate"),
        lost: number(0, "lost") + number(1, "lost"),
        altered: number(2, "n"),
        unredacted: 0,
        stored_after,
        drained,
    }
}

/// Records that were acknowledged and stand neither in the journal's files nor in `facts`, right after a kill.
pub fn gone(lake: &Lake, bodies: &Bodies, ledger: &Ledger, journal: &Path, folder: &Path) -> u64 {
    let (acked, held) = (folder.join("acked.csv"), folder.join("held.csv"));
    write_ledger(&acked, bodies, ledger);
    let pattern = AhoCorasick::new(["req_"]).unwrap();
    let mut numbers = String::from("n\n");
    for segment in files(journal) {
        let bytes = fs::read(segment).unwrap();
        for found in pattern.find_iter(&bytes) {
            let number = bytes.get(found.end()..found.end() + 12).and_then(|b| std::str::from_utf8(b).ok());
            if let Some(number) = number.and_then(|n| n.parse::<u64>().ok()) {
                writeln!(numbers, "{number}").unwrap();
            }
        }
    }
    fs::write(&held, numbers).unwrap();
    let tables = tables(&acked, bodies, "facts");
    let sql = format!(
        "WITH {tables}, held AS (SELECT DISTINCT n FROM read_csv('{}', header=true, columns={{'n': 'BIGINT'}}))
         SELECT count(*) n FROM acked ANTI JOIN stored USING (n) ANTI JOIN held USING (n)",
        held.display()
    );
    lake.when("SELECT count(*) >= 0 FROM facts", &[&sql])[0][0]["n"].as_u64().unwrap()
}

/// Every file below a path.
fn files(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(path) else { return vec![path.to_owned()] };
    entries.flatten().flat_map(|entry| files(&entry.path())).collect()
}

/// What the canary looks like: as it is, and in base64 at each of the three alignments.
fn needles() -> Vec<String> {
    let base64 = |shift: usize| {
        let encoded = base64::engine::general_purpose::STANDARD.encode([&vec![0; shift], CANARY.as_bytes()].concat());
        encoded[if shift == 0 { 0 } else { 4 }..encoded.len() - 4].to_owned()
    };
    [CANARY.to_owned()].into_iter().chain((0..3).map(base64)).collect()
}

/// The files below the paths whose bytes hold a secret.
pub fn unredacted(paths: &[&Path]) -> Vec<PathBuf> {
    let needles = AhoCorasick::new(needles()).unwrap();
    let holds = |file: &PathBuf| fs::read(file).is_ok_and(|bytes| needles.is_match(&bytes));
    paths.iter().flat_map(|path| files(path)).filter(holds).collect()
}

/// Rows of any Parquet file, committed or not, that hold a secret: their pages are compressed.
pub fn unredacted_rows(lake: &Lake) -> u64 {
    let like = needles().iter().map(|n| format!("r::VARCHAR LIKE '%{n}%'")).collect::<Vec<_>>().join(" OR ");
    let count = |table: &str| {
        let glob = format!("{}/default/{table}/*/*.parquet", lake.url());
        format!("SELECT count(*) n FROM read_parquet('{glob}', union_by_name=true) r WHERE {like}")
    };
    let queries = ["facts", "events", "sessions"].map(count);
    let rows = lake.when("SELECT true", &queries.each_ref().map(String::as_str));
    rows.iter().map(|rows| rows[0]["n"].as_u64().unwrap()).sum()
}
