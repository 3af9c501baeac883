//! Fact files that cannot be read for good: one damaged file must not keep a whole workspace from being sealed.

use std::collections::HashMap;
use std::error::Error;

use crate::sink::lake::LakeError;

/// Tries before a file is given up (about six seconds apart from first to last): a compaction may have moved its rows
/// to another file, which the next look at the log shows.
const TRIES: u32 = 5;

/// Files that failed, by path. As many as are damaged at the same time.
#[derive(Default)]
pub struct Damage {
    failures: HashMap<String, u32>,
}

impl Damage {
    /// Whether the file is left out.
    pub fn is_given_up(&self, path: &str) -> bool {
        self.failures.get(path).is_some_and(|failures| *failures >= TRIES)
    }

    /// A read of the file failed. `Ok`: it is given up, go on without it.
    pub fn note(&mut self, path: &str, error: LakeError) -> Result<(), LakeError> {
        if !is_damage(&error) {
            return Err(error);
        }
        let failures = self.failures.entry(path.to_owned()).or_default();
        *failures += 1;
        if *failures < TRIES {
            return Err(error);
        }
        tracing::error!(path, %error, "facts cannot be read and are missing from their sessions; restore the file");
        Ok(())
    }
}

/// Whether the file itself is the reason. A store that is away is not: that is waited for.
fn is_damage(error: &LakeError) -> bool {
    match error {
        LakeError::Column { .. } | LakeError::Length { .. } => true,
        LakeError::Parquet { source, .. } => !error.is_transient() || is_missing(source),
        LakeError::Store { source, .. } => is_missing(source),
        _ => false,
    }
}

fn is_missing(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref(), Some(object_store::Error::NotFound { .. })) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(source: object_store::Error) -> LakeError {
        LakeError::Store { path: "x".to_owned(), source }
    }

    #[test]
    fn a_missing_file_is_given_up_after_some_tries_and_a_store_that_is_away_never() {
        let mut damage = Damage::default();
        let missing = || store(object_store::Error::NotFound { path: "x".to_owned(), source: "gone".into() });
        let away = || store(object_store::Error::Generic { store: "S3", source: "timeout".into() });
        for _ in 1..TRIES {
            assert!(damage.note("a", missing()).is_err());
            assert!(damage.note("b", away()).is_err());
        }
        assert!(!damage.is_given_up("a"));
        assert!(damage.note("a", missing()).is_ok());
        assert!(damage.is_given_up("a"));
        assert!(damage.note("b", away()).is_err());
        assert!(!damage.is_given_up("b"));
    }
}
