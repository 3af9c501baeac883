use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::sync::Semaphore;

use super::handle::Handle;
use super::sweep::sweep;
use super::*;
use crate::model::{Fact, Kind};
use crate::sink::lake::testing::{TestLake, fact};
use crate::sink::lake::{Change, Fence, Table, TableFile, TableKind};

const DAY: Duration = Duration::from_secs(86_400);

fn turns() -> std::sync::Arc<Semaphore> {
    std::sync::Arc::new(Semaphore::new(1))
}

async fn files(table: &Table) -> Vec<std::sync::Arc<TableFile>> {
    table.files().await.unwrap().into_iter().map(std::sync::Arc::new).collect()
}

fn facts(n: u64) -> Vec<Fact> {
    (0..4).map(|number| fact(&format!("s{}", (n * 7) % 5), n * 4 + number, Kind::Prompt, 10)).collect()
}

async fn crowded(lake: &TestLake) -> Table {
    for n in 0..5 {
        lake.append(&facts(n)).await;
    }
    lake.table(TableKind::Facts).await
}

fn data_files(lake: &TestLake) -> usize {
    let day = lake.dir.path().join("lake/default/facts/received_date=1970-01-01");
    std::fs::read_dir(day).unwrap().count()
}

fn age(path: &Path, by: Duration) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

#[tokio::test]
async fn appends_go_on_beside_a_merge_and_every_row_is_there_once() {
    let lake = TestLake::new().await;
    let mut table = crowded(&lake).await;
    let chore = Chore::merge(&table, files(&table).await, Form::Final, &turns()).unwrap();
    lake.append(&facts(9)).await;
    let done = chore.finish(&mut table, Fence::new(1)).await.unwrap();
    let Done::Merged(merged) = done else { panic!("{done:?}") };
    assert_eq!((merged.files_before, merged.files_after, merged.rows), (5, 1, 20));
    let mut ids: Vec<_> = lake.facts().await.iter().map(|fact| fact.fact_id).collect();
    assert_eq!(ids.len(), 24);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 24);
    let merged = table.files().await.unwrap().into_iter().find(|file| file.listed().unwrap().len() == 5);
    assert!(merged.is_some_and(|file| file.listed().unwrap().contains(&table.session_tag("s3"))));
}

#[tokio::test]
async fn a_merge_whose_inputs_changed_is_thrown_away() {
    let lake = TestLake::new().await;
    let mut table = crowded(&lake).await;
    let inputs = files(&table).await;
    let chore = Chore::merge(&table, inputs.clone(), Form::Final, &turns()).unwrap();
    let mut other = lake.table(TableKind::Facts).await;
    let remove = vec![TableFile::clone(&inputs[0])];
    other.commit(Change { remove, fence: Some(Fence::new(1)), ..Change::default() }).await.unwrap();
    assert_eq!(chore.finish(&mut table, Fence::new(1)).await.unwrap(), Done::Nothing);
    assert_eq!((lake.facts().await.len(), data_files(&lake)), (16, 5), "what was written is gone again");
}

#[tokio::test]
async fn who_lost_the_lease_merges_nothing_and_one_merge_runs_at_a_time() {
    let lake = TestLake::new().await;
    let mut table = crowded(&lake).await;
    let turns = turns();
    let chore = Chore::merge(&table, files(&table).await, Form::Final, &turns).unwrap();
    assert!(Chore::sweep(&table, COMMITS, &turns).is_none());
    lake.table(TableKind::Facts).await.raise(Fence::new(2)).await.unwrap();
    let error = chore.finish(&mut table, Fence::new(1)).await.unwrap_err();
    assert!(matches!(error, crate::sink::lake::LakeError::Fenced { .. }), "{error}");
    assert_eq!((table.files().await.unwrap().len(), data_files(&lake)), (5, 5));
    assert!(Chore::sweep(&table, COMMITS, &turns).is_some(), "its turn is over");
}

#[tokio::test]
async fn files_that_nothing_names_go_after_a_day_and_no_others() {
    let lake = TestLake::new().await;
    let mut table = crowded(&lake).await;
    let day = lake.dir.path().join("lake/default/facts/received_date=1970-01-01");
    let put = |name: &str, old: Duration| {
        std::fs::write(day.join(name), "x").unwrap();
        age(&day.join(name), old);
    };
    put("orphan.parquet", DAY * 2);
    put("young.parquet", DAY / 2);
    put("part.parquet#12", DAY * 2);
    put("part.parquet#13", DAY / 2);
    for file in std::fs::read_dir(&day).unwrap().map(|entry| entry.unwrap().path()) {
        if file.to_string_lossy().contains("part-") {
            age(&file, DAY * 3);
        }
    }
    let chore = Chore::merge(&table, files(&table).await, Form::Final, &turns()).unwrap();
    chore.finish(&mut table, Fence::new(1)).await.unwrap();
    let swept = sweep(lake.table(TableKind::Facts).await, COMMITS, &Handle::default()).await.unwrap();
    assert_eq!((swept.files, swept.bytes, swept.checkpoint), (2, 1, false));
    assert!(!day.join("orphan.parquet").exists() && !day.join("part.parquet#12").exists());
    assert!(day.join("young.parquet").exists() && day.join("part.parquet#13").exists());
    assert_eq!(data_files(&lake), 5 + 1 + 2, "what was replaced a moment ago is still read by somebody");
    assert_eq!(lake.facts().await.len(), 20);
}

#[tokio::test]
async fn a_checkpoint_is_written_after_a_hundred_commits() {
    let lake = TestLake::new().await;
    let mut table = lake.table(TableKind::Facts).await;
    for _ in 0..100 {
        table.commit(Change::default()).await.unwrap();
    }
    assert!(sweep(lake.table(TableKind::Facts).await, COMMITS, &Handle::default()).await.unwrap().checkpoint);
    assert!(!sweep(lake.table(TableKind::Facts).await, COMMITS, &Handle::default()).await.unwrap().checkpoint);
}
