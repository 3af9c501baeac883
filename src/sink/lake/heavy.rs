//! Where heavy work runs: off the async threads, and on few threads at a time.
//!
//! More threads would finish no sooner, and each that has done such work keeps the memory it worked in.

use std::sync::LazyLock;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

/// As many jobs as there are cores; four at least, since some of them wait for a store in between; and never as many as
/// the runtime has blocking threads, for those that wait would take the threads that they wait for.
static FREE: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(std::thread::available_parallelism().map_or(4, |n| n.get().clamp(4, MOST))));

/// Heavy jobs at a time, however many cores there are.
pub const MOST: usize = 16;

/// Runs a job that decodes, folds or encodes. It may block on a store, but not on another such job.
///
/// # Errors
/// The job panicked, or the runtime is going down.
pub(super) async fn run<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    // On a task of its own, which is polled whatever its caller does: a caller that is one of several in a stream is not
    // while the stream's reader waits, and would keep what it was given from the very job that the reader waits for.
    // (A set, because it ends its task when it is dropped.)
    let mut task = JoinSet::new();
    task.spawn(async {
        let _permit = FREE.acquire().await.expect("the semaphore is never closed");
        tokio::task::spawn_blocking(job).await
    });
    task.join_next().await.expect("one was spawned")?
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_job_between_the_jobs_of_a_stream_gets_its_turn() {
        let jobs = futures::stream::iter(0..8 * MOST).map(|n| run(move || n)).buffered(2 * MOST);
        let both = jobs.then(|first| async move { run(move || first.expect("it does not panic")).await });
        let all = tokio::time::timeout(Duration::from_secs(60), both.collect::<Vec<_>>()).await;
        let all = all.expect("nobody waits for who does not run");
        assert!(all.into_iter().map(|n| n.expect("it does not panic")).eq(0..8 * MOST));
    }

    #[tokio::test]
    async fn a_job_that_panics_is_an_error() {
        assert!(run(|| panic!("as a damaged file makes it")).await.is_err_and(|error: JoinError| error.is_panic()));
    }
}
