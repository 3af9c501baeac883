//! Threads for the lake's work: writing and sealing take seconds of CPU in bursts, and whoever waits for an
//! acknowledgement must not wait for them.

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::sink::lake::HEAVY_JOBS;

/// One for appending, one for sealing; what is heavy goes to blocking threads of the same runtime.
const WORKERS: usize = 2;
/// Threads for blocking work at most: each that worked keeps a little memory. More than there are heavy jobs at a time,
/// because those wait for reads that run on such threads, too.
const BLOCKING: usize = 2 * HEAVY_JOBS;
/// How far below the receiver these threads stand. At 5 the scheduler gives each a third of what a thread of the
/// receiver gets when both want the same core: enough that the lake goes on under overload.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// A runtime of its own. What runs on it ends with it.
pub struct Background(Option<Runtime>);

impl Background {
    pub fn start() -> Result<Background> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(WORKERS).max_blocking_threads(BLOCKING).thread_name("lake").enable_all();
        let runtime = builder.on_thread_start(step_back).build().context("cannot start the lake's threads")?;
        Ok(Background(Some(runtime)))
    }

    pub fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Dropped where async code runs, a runtime would wait for its threads, which is not allowed there.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lowers the calling thread's priority. Where that is not possible everything works, in another order.
fn step_back() {
    // On Linux a thread has a priority of its own; elsewhere this would lower the whole process.
    #[cfg(target_os = "linux")]
    if rustix::process::getpriority_process(None).is_ok_and(|now| now < NICENESS) {
        let _ = rustix::process::setpriority_process(None, NICENESS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acknowledgements would wait for sealing.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn its_threads_stand_below_those_of_the_receiver() {
        let background = Background::start().unwrap();
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let here = priority();
        let worker = background.handle().spawn(async move { priority() }).await.unwrap();
        let blocking = background.handle().spawn_blocking(priority).await.unwrap();
        assert_eq!((worker, blocking), ((here.max(NICENESS)), here.max(NICENESS)));
        assert_eq!(priority(), here);
    }
}
