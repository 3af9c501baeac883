//! Where heavy work runs: off the async threads, and on few threads at a time.
//!
//! More threads would finish no sooner, and each that has done such work keeps the memory it worked in.

use std::sync::LazyLock;

use tokio::sync::Semaphore;
use tokio::task::JoinError;

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
    let _permit = FREE.acquire().await.expect("the semaphore is never closed");
    tokio::task::spawn_blocking(job).await
}
