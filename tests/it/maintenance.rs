//! `sessionlake maintain --once` on a lake of many small files, killed at random, while DuckDB reads.
//!
//! `SESSIONLAKE_SEED` sets the seed.

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::corpus::Random;
use crate::durability::setting;
use crate::generated::{Size, make};
use crate::harness::binary;
use crate::query::Lake;

const KILLS: u32 = 6;
const SIZE: Size = Size { sessions: 240, events: 20, batch: 2, seed: 3 };

fn maintain(lake: &str) -> Command {
    let mut command = Command::new(binary());
    command.args(["maintain", "--once", "--json", "--lake", lake]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// How many rows each table has, and what is in them.
fn rows(lake: &Lake) -> Vec<String> {
    let of = |table| {
        format!("SELECT '{table}' AS name, count(*) AS n, bit_xor(hash({table}))::VARCHAR AS hash FROM {table}")
    };
    let rows = lake.rows(&["facts", "events", "sessions"].map(of).join(" UNION ALL "));
    rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_that_is_killed_changes_no_row_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().to_str().unwrap().to_owned();
    make(&url, &SIZE).await;
    tokio::task::spawn_blocking(move || killed_and_finished(&url)).await.unwrap();
}

fn killed_and_finished(url: &str) {
    let lake = Lake::directory(url.to_owned());
    let before = rows(&lake);
    let mut random = Random(setting("SESSIONLAKE_SEED", 1));
    for kill_number in 0..KILLS {
        let child = maintain(url).spawn().unwrap();
        // Every other time a query runs beside it, which takes about as long as the longest wait.
        match kill_number % 2 {
            0 => thread::sleep(Duration::from_millis(random.below(1500))),
            _ => assert_eq!(rows(&lake), before, "while it runs"),
        }
        kill(child);
        assert_eq!(rows(&lake), before, "after kill {kill_number}");
    }
    let done = maintain(url).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(rows(&lake), before);
    let again = maintain(url).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(told["files_before"], 0, "nothing is left to do: {told}");
}
