//! The vocabulary of sessionlake: what arrives, what is kept, what is computed. Imports nothing of ours.

pub mod audit;
pub mod batch;
pub mod event;
pub mod fact;
mod hex;
pub mod key;
pub mod money;
pub mod otlp;
pub mod session;
pub mod workspace;

pub use audit::AuditEntry;
pub use batch::{Batch, Envelope, RecordHits, Signal};
pub use event::{Event, Joined};
pub use fact::{Columns, Fact, FactId, Kind, Redaction, Source, Truncation};
pub use hex::hex;
pub use key::LakeKey;
pub use session::{Gap, Prompt, Session, SkillUse, Status};
pub use workspace::Workspace;
