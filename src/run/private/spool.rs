//! Requests that the lake does not have yet, one file each in `<data dir>/private`: what a user was told survives a crash,
//! and a store that is away.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::sync::watch;

use crate::private;
use crate::sink::lake::forget::Request;

const FOLDER: &str = "private";
const ENDING: &str = "json";

/// The directory of requests. Cheap to clone.
#[derive(Clone)]
pub struct Spool {
    dir: PathBuf,
    news: watch::Sender<()>,
}

impl Spool {
    pub fn open(data_dir: &Path) -> io::Result<Spool> {
        let dir = data_dir.join(FOLDER);
        private::create_dir(&dir)?;
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            // Its writing was cut off: nobody was told that it is kept.
            if path.extension().is_some_and(|ending| ending == private::STAGED) {
                std::fs::remove_file(path)?;
            }
        }
        Ok(Spool { dir, news: watch::Sender::new(()) })
    }

    /// Durable when it returns.
    pub fn put(&self, request: &Request) -> io::Result<()> {
        let bytes = serde_json::to_vec(request).map_err(io::Error::other)?;
        private::replace(&self.path(request), &bytes)?;
        self.news.send_replace(());
        Ok(())
    }

    /// Tells of new requests.
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// All requests that the lake does not have.
    ///
    /// # Errors
    /// A file cannot be read, or holds no request: a promise to a user would be lost.
    pub fn read(&self) -> Result<Vec<Request>> {
        let mut requests = Vec::new();
        for entry in std::fs::read_dir(&self.dir).with_context(|| format!("cannot read {}", self.dir.display()))? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != ENDING) {
                continue;
            }
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let request: Request = serde_json::from_slice(&bytes).map_err(|_| {
                anyhow::anyhow!(
                    "{} holds no request to forget a session: see what it is, and move it away",
                    path.display()
                )
            })?;
            requests.push(request);
        }
        requests.sort_by(|a: &Request, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        Ok(requests)
    }

    /// The lake has it.
    pub fn remove(&self, request: &Request) -> io::Result<()> {
        std::fs::remove_file(self.path(request))
    }

    fn path(&self, request: &Request) -> PathBuf {
        self.dir.join(format!("{}.{ENDING}", request.id))
    }
}
