//! What a client has prepared and not closed: bounded, because a plan takes many times the memory of its text.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion_postgres::pgwire::messages::PgWireFrontendMessage;
use datafusion_postgres::pgwire::messages::extendedquery::TARGET_TYPE_BYTE_STATEMENT;

use crate::query::error::Refused;

/// Bytes of the statements and parameters that one client holds.
const OWN: usize = 512 << 10;
/// Of all clients.
const ALL: usize = 4 << 20;
/// What a statement or portal takes beside its text.
const ENTRY: usize = 1 << 10;

/// What all clients hold, bytes. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Total(Arc<AtomicUsize>);

/// What one client holds.
#[derive(Debug)]
pub struct Held {
    total: Total,
    own: usize,
    statements: HashMap<String, usize>,
    portals: HashMap<String, usize>,
}

impl Held {
    pub fn new(total: Total) -> Held {
        Held { total, own: 0, statements: HashMap::new(), portals: HashMap::new() }
    }

    /// Counts what a message is about to keep, or lets go.
    ///
    /// # Errors
    /// When it is too much.
    pub fn count(&mut self, message: &PgWireFrontendMessage) -> Result<(), Refused> {
        match message {
            PgWireFrontendMessage::Parse(parse) => {
                let name = parse.name.clone().unwrap_or_default();
                self.take(name, ENTRY + parse.query.len(), |held| &mut held.statements)
            }
            PgWireFrontendMessage::Bind(bind) => {
                let bytes: usize = bind.parameters.iter().flatten().map(|value| ENTRY / 8 + value.len()).sum();
                let name = bind.portal_name.clone().unwrap_or_default();
                self.take(name, ENTRY + bytes, |held| &mut held.portals)
            }
            PgWireFrontendMessage::Close(close) => {
                let name = close.name.as_deref().unwrap_or_default();
                match close.target_type {
                    TARGET_TYPE_BYTE_STATEMENT => self.forget_statement(name),
                    _ => {
                        let bytes = self.portals.remove(name);
                        self.give_back(bytes);
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub fn forget_statement(&mut self, name: &str) {
        let bytes = self.statements.remove(name);
        self.give_back(bytes);
    }

    pub fn statements(&self) -> Vec<String> {
        self.statements.keys().cloned().collect()
    }

    fn take(
        &mut self,
        name: String,
        bytes: usize,
        which: impl Fn(&mut Held) -> &mut HashMap<String, usize>,
    ) -> Result<(), Refused> {
        // A statement of the same name is replaced.
        let before = which(self).remove(&name);
        self.give_back(before);
        let all = self.total.0.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.own += bytes;
        which(self).insert(name.clone(), bytes);
        if self.own <= OWN && all <= ALL {
            return Ok(());
        }
        which(self).remove(&name);
        self.give_back(Some(bytes));
        Err(Refused::TooManyPrepared)
    }

    fn give_back(&mut self, bytes: Option<usize>) {
        let bytes = bytes.unwrap_or(0);
        self.own -= bytes;
        self.total.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.total.0.fetch_sub(self.own, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use datafusion_postgres::pgwire::messages::extendedquery::{Close, Parse};

    use super::*;

    fn parse(name: &str, bytes: usize) -> PgWireFrontendMessage {
        PgWireFrontendMessage::Parse(Parse::new(Some(name.to_owned()), "x".repeat(bytes), vec![]))
    }

    #[test]
    fn a_client_that_never_closes_is_refused_and_one_that_does_is_not() {
        let total = Total::default();
        let mut held = Held::new(total.clone());
        let most = (0..10_000).take_while(|n| held.count(&parse(&n.to_string(), 1024)).is_ok()).count();
        assert_eq!(most, OWN / (2 * ENTRY));
        assert!(held.count(&parse("0", 1024)).is_ok(), "the same name again");
        let close = Close::new(TARGET_TYPE_BYTE_STATEMENT, Some("0".to_owned()));
        assert!(held.count(&PgWireFrontendMessage::Close(close)).is_ok());
        assert!(held.count(&parse("next", 1024)).is_ok());
        let mut others: Vec<Held> = (0..100).map(|_| Held::new(total.clone())).collect();
        let served = others.iter_mut().filter_map(|held| held.count(&parse("a", 200 << 10)).ok()).count();
        assert_eq!(served, (ALL - OWN) / (ENTRY + (200 << 10)), "all of them together have a bound");
        drop((others, held));
        assert_eq!(total.0.load(Ordering::Relaxed), 0);
    }
}
