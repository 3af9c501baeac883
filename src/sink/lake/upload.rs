//! A file on its way to the store while it is being made: in parts, few of which are in memory.

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload, WriteMultipart};

use super::error::LakeError;
use super::store::Store;

/// Bytes of a part: S3 takes none that is smaller.
const PART: usize = 5 << 20;
/// Parts on their way at the same time.
const IN_FLIGHT: usize = 2;

/// Visible under its name when it is finished, and never before. One that is dropped leaves parts behind, which the
/// store forgets by its own rules; [`Upload::abort`] takes them away.
pub(super) struct Upload {
    path: Path,
    parts: WriteMultipart,
    size: u64,
}

impl Upload {
    pub async fn start(store: &Store, path: &Path) -> Result<Upload, LakeError> {
        let upload = store.root.put_multipart(path).await.map_err(|e| LakeError::store(path, e))?;
        Ok(Upload { path: path.clone(), parts: WriteMultipart::new_with_chunk_size(upload, PART), size: 0 })
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Waits while too many parts are on their way.
    pub async fn write(&mut self, bytes: PutPayload) -> Result<(), LakeError> {
        for piece in bytes {
            self.size += piece.len() as u64;
            self.parts.put(piece);
            self.parts.wait_for_capacity(IN_FLIGHT).await.map_err(|e| LakeError::store(&self.path, e))?;
        }
        Ok(())
    }

    /// The file is there when it returns.
    pub async fn finish(self) -> Result<u64, LakeError> {
        self.parts.finish().await.map_err(|e| LakeError::store(&self.path, e))?;
        Ok(self.size)
    }

    pub async fn abort(self) {
        if let Err(error) = self.parts.abort().await {
            tracing::debug!(%error, "parts of an upload not taken away");
        }
    }
}
