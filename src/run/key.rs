//! The lake's key, kept beside the journal as well: a start must not depend on the store being reachable.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::random;
use crate::config::Config;
use crate::model::{LakeKey, hex};
use crate::private;
use crate::sink::lake::Lake;

/// How long a start waits for the lake before it goes on with the key that it knows.
const PATIENCE: Duration = Duration::from_secs(10);

/// The lake's key: the lake's own word, else what was kept from an earlier start with the same lake.
pub async fn lake_key(lake: &Lake, config: &Config) -> Result<LakeKey> {
    let kept = Kept::of(config);
    let known = kept.read();
    let fresh = match &known {
        Some(key) => *key.bytes(),
        None => random()?,
    };
    match (tokio::time::timeout(PATIENCE, lake.key(fresh)).await, known) {
        (Ok(Ok(key)), _) => {
            kept.write(&key).with_context(|| format!("cannot write {}", kept.path.display()))?;
            Ok(key)
        }
        (answer, Some(key)) => {
            let error =
                answer.map_or_else(|_| "no answer".to_owned(), |a| a.err().map_or(String::new(), |e| e.to_string()));
            tracing::warn!(error, "lake not reachable: what arrives is kept in the journal until it is");
            Ok(key)
        }
        (Ok(Err(error)), None) => Err(error).context("cannot read or make the lake's key"),
        (Err(_), None) => anyhow::bail!(
            "the lake at {} does not answer: the first start needs it; check exporters.lake.url and its storage settings",
            config.lake_name()
        ),
    }
}

/// The lake's key as this machine keeps it since it served the lake; the lake is not asked.
pub fn known_key(config: &Config) -> Option<LakeKey> {
    Kept::of(config).read()
}

/// The file that keeps a lake's key, with a mark of the lake that it belongs to.
struct Kept {
    path: PathBuf,
    mark: String,
}

impl Kept {
    fn of(config: &Config) -> Kept {
        let mark = blake3::hash(config.lake_options().url.as_bytes()).to_hex()[..16].to_owned();
        Kept { path: config.data_dir.join("lake.key"), mark }
    }

    fn read(&self) -> Option<LakeKey> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        let (mark, hex) = text.trim().split_once(' ')?;
        if mark != self.mark || hex.len() != 64 || !hex.is_ascii() {
            return None;
        }
        let mut bytes = [0u8; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()?;
        }
        Some(LakeKey::new(bytes))
    }

    fn write(&self, key: &LakeKey) -> std::io::Result<()> {
        if self.read().is_some_and(|kept| kept.bytes() == key.bytes()) {
            return Ok(());
        }
        private::replace(&self.path, format!("{} {}\n", self.mark, hex(key.bytes())).as_bytes())
    }
}
