use std::time::Duration;

use super::objects::{LIFETIME, Objects};
use super::*;
use crate::sink::lake::testing::TestLake;

#[tokio::test]
async fn of_a_directory_one_holds_the_lease_and_every_next_one_has_a_larger_epoch() {
    let lake = TestLake::new().await;
    let (mut first, mut second) = (Leases::new(&lake.lake, "a"), Leases::new(&lake.lake, "b"));
    let held = first.attempt().await.unwrap().unwrap();
    assert_eq!(held.fence(), Fence::new(1));
    assert!(second.attempt().await.unwrap().is_none());
    assert!(Leases::new(&lake.lake, "a").attempt().await.unwrap().is_none(), "a lock has no name");
    drop(held);
    let held = second.attempt().await.unwrap().unwrap();
    assert_eq!(held.fence(), Fence::new(2));
    drop(held);
    first.raise(40);
    assert_eq!(first.attempt().await.unwrap().unwrap().fence(), Fence::new(41));
    std::fs::write(lake.dir.path().join("lake/_sessionlake/lease"), "torn").unwrap();
    assert_eq!(first.attempt().await.unwrap().unwrap().fence(), Fence::new(41));
}

/// The lease as a store has it; a directory serves as one here.
fn objects(lake: &TestLake, holder: &str) -> Objects {
    Objects::new(lake.lake.store.clone(), lake.lake.store.path("_sessionlake/objects"), holder)
}

async fn taken(objects: &mut Objects) -> Option<i64> {
    objects.attempt(0).await.unwrap().map(|(epoch, renewed)| {
        // As after kill -9: nobody renews it, nobody releases it.
        drop(renewed);
        epoch
    })
}

#[tokio::test]
async fn of_a_store_one_of_many_gets_the_lease() {
    let lake = TestLake::new().await;
    let mut all: Vec<Objects> = (0..20).map(|n| objects(&lake, &n.to_string())).collect();
    let won = futures::future::join_all(all.iter_mut().map(taken)).await;
    assert_eq!(won.iter().flatten().collect::<Vec<_>>(), [&1]);
}

#[tokio::test]
async fn of_a_store_the_lease_goes_on_when_its_holder_is_silent_released_or_back() {
    let lake = TestLake::new().await;
    let (mut first, mut second) = (objects(&lake, "a"), objects(&lake, "b"));
    assert_eq!(taken(&mut first).await, Some(1));
    assert_eq!(taken(&mut second).await, None);
    assert_eq!(taken(&mut first).await, None, "who lost it waits as the others do");
    assert_eq!(taken(&mut objects(&lake, "a")).await, Some(2), "a restarted holder is known by its name");
    // Silence is measured on the watcher's clock alone.
    assert_eq!(taken(&mut second).await, None);
    let from = std::time::Instant::now();
    let epoch = loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if let Some(epoch) = taken(&mut second).await {
            break epoch;
        }
    };
    assert_eq!(epoch, 3);
    assert!(from.elapsed() >= LIFETIME - Duration::from_millis(500) && from.elapsed() < Duration::from_secs(15));
    let (_, renewed) = objects(&lake, "b").attempt(0).await.unwrap().unwrap();
    renewed.release().await;
    assert_eq!(taken(&mut first).await, Some(5), "what is released is free at once");
}

#[tokio::test]
async fn of_a_store_a_holder_learns_that_it_was_followed() {
    let lake = TestLake::new().await;
    let (_, renewed) = objects(&lake, "a").attempt(0).await.unwrap().unwrap();
    let mut lost = renewed.lost();
    let next = objects(&lake, "a").attempt(0).await.unwrap().unwrap();
    assert_eq!(next.0, 2);
    lost.wait_for(|lost| *lost).await.unwrap();
    assert!(!*next.1.lost().borrow());
}
