//! Forgetting sessions: requests, who has done what of them, and the work itself.
//!
//! 1. A [`Request`] names the sessions. It is stored, and then a tombstone for each: from then on no process takes facts
//!    of them ([`super::tombstones`]).
//! 2. Each process overwrites what its journal has of them, and says so by an [`Ack`] (`journal`).
//! 3. The holder of the lease takes them out of the tables, again and again until nothing comes any more and every
//!    process that lives has said its word (`work`).
//! 4. A receipt goes to the table `audit`, and the request goes.
//!
//! ```text
//! _sessionlake/erasures/<request>/request.json        what is to be forgotten; goes when it is
//! _sessionlake/erasures/<request>/acks/<journal>      by each process
//! _sessionlake/writers/<journal>                      written again every few seconds by each process that lives
//! ```

mod journal;
mod pass;
mod request;
mod work;

pub use journal::{SweepError, Swept, sweep, sweep_quarantine};
pub use request::{Ack, Progress, Request, RequestKind, Requests};
pub use work::{Forgetter, Forgotten};
