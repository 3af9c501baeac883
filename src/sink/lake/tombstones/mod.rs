//! Sessions of which nothing may be kept any more, for ever.
//!
//! A tombstone is one object, `_sessionlake/tombstones/<workspace>/<name>`, where the name is a keyed hash of the session's
//! id ([`LakeKey`] never rotates), followed by `-costs` where what the session costs goes on to be counted, without its
//! user. What it holds says when, why and by which request; neither an id nor content.
//!
//! Every process has the set in memory ([`Tombstones`]). Whoever adds one writes, after it, an entry to
//! `_sessionlake/tombstones-recent/` and then changes `_sessionlake/tombstones-latest`, which all others look at twice a
//! second; all tombstones are listed at the start, and seldom after that.

mod follow;
mod set;
mod sift;
pub(super) mod stored;

pub use follow::{Follower, POLL};
pub use set::{Buried, Tombstones};
pub use sift::Sifted;
pub use stored::{Tombstone, TombstoneStore};

use crate::model::LakeKey;

/// The keyed hash of a session's id. Its first half is the session's tag in the tables' logs, so that a tombstone alone
/// finds the files that may hold its session.
pub type Name = [u8; 16];

/// A session's name among the tombstones.
pub fn name(key: &LakeKey, session_id: &str) -> Name {
    super::table::session_name(key, session_id)
}

/// A name as 32 hexadecimal digits, read back.
fn parse(hex: &str) -> Option<Name> {
    crate::model::FactId::parse(hex).map(|id| id.0)
}
