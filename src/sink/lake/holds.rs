//! Legal holds: sessions, users and projects of which nothing is deleted, whoever asks and whatever its age.
//!
//! A hold is one object, `_sessionlake/holds/<workspace>/<id>.json`; its id is a keyed hash of what it holds, so that the
//! same hold is one object however often it is added.

use std::collections::HashSet;

use object_store::path::Path;
use serde::{Deserialize, Serialize};

use super::error::LakeError;
use super::open::Lake;
use super::store::Store;
use super::table::TableKind;
use crate::model::{Columns, LakeKey, Session, Workspace, hex};

const FOLDER: &str = "_sessionlake/holds";

/// What is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", content = "name", rename_all = "lowercase")]
pub enum HoldSubject {
    /// A session by its id.
    Session(String),
    /// Sessions of a user, by address, id or account id.
    User(String),
    /// Sessions of a project: its directory.
    Project(String),
}

impl HoldSubject {
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            HoldSubject::Session(name) => ("session", name),
            HoldSubject::User(name) => ("user", name),
            HoldSubject::Project(name) => ("project", name),
        }
    }
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    #[serde(flatten)]
    pub subject: HoldSubject,
    pub reason: String,
    /// Who added it.
    pub by: String,
    /// When, UTC microseconds.
    pub at: i64,
}

/// The holds of one workspace.
pub struct Holds {
    store: Store,
    key: LakeKey,
    folder: Path,
}

impl Holds {
    pub fn new(lake: &Lake, key: &LakeKey, workspace: &Workspace) -> Holds {
        let folder = lake.store.path(&format!("{FOLDER}/{workspace}"));
        Holds { store: lake.store.clone(), key: key.clone(), folder }
    }

    /// The holds of a lake that has a key.
    ///
    /// # Errors
    /// `NoKey`: the lake is empty. Others: it cannot be read.
    pub async fn open(lake: &Lake, workspace: &Workspace) -> Result<Holds, LakeError> {
        Ok(Holds::new(lake, &lake.existing_key().await?, workspace))
    }

    /// The hold's id: 16 hex digits.
    pub fn id(&self, subject: &HoldSubject) -> String {
        let (of, name) = subject.parts();
        let bytes = self.key.name("hold", &[of.as_bytes(), name.as_bytes()]);
        hex(&bytes[..8])
    }

    /// Adds a hold; `false`: it was there, as it was first added. In force for whatever begins after it returns.
    ///
    /// # Errors
    /// The store does not take it.
    pub async fn add(&self, hold: &Hold) -> Result<bool, LakeError> {
        let bytes = serde_json::to_vec(hold).expect("a hold is made of strings and a number");
        self.store.create(&self.object(&self.id(&hold.subject)), bytes.into()).await
    }

    /// Takes a hold away; `false`: there was none of this id.
    ///
    /// # Errors
    /// The store cannot be read, or does not delete.
    pub async fn remove(&self, id: &str) -> Result<bool, LakeError> {
        let object = self.object(id);
        let there = self.store.exists(&object).await?;
        self.store.delete(&object).await.map(|()| there)
    }

    fn object(&self, id: &str) -> Path {
        self.folder.clone().join(format!("{id}.json"))
    }

    /// All holds with their ids.
    ///
    /// # Errors
    /// The store cannot be read; an object that is no hold is an error too: something may be held that nobody knows of.
    pub async fn all(&self) -> Result<Vec<(String, Hold)>, LakeError> {
        let mut holds = Vec::new();
        for path in self.store.list(&self.folder).await? {
            let Some(bytes) = self.store.read(&path).await? else { continue };
            let hold: Hold =
                serde_json::from_slice(&bytes).map_err(|_| LakeError::BadHold { path: path.to_string() })?;
            let id = path.filename().unwrap_or_default().trim_end_matches(".json").to_owned();
            holds.push((id, hold));
        }
        Ok(holds)
    }

    /// What they hold, with the sessions that are stored of held users and projects.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn held(&self, lake: &Lake, workspace: &Workspace) -> Result<Held, LakeError> {
        let mut held = Held::default();
        for (_, hold) in self.all().await? {
            let (set, name) = match hold.subject {
                HoldSubject::Session(name) => (&mut held.sessions, name),
                HoldSubject::User(name) => (&mut held.users, name),
                HoldSubject::Project(name) => (&mut held.projects, name),
            };
            set.insert(name);
        }
        if held.users.is_empty() && held.projects.is_empty() {
            return Ok(held);
        }
        let Some(table) = lake.existing(workspace, TableKind::Sessions).await? else { return Ok(held) };
        for file in table.files().await? {
            let sessions = table.read_sessions(&file, None).await?;
            let found: Vec<String> =
                sessions.into_iter().filter(|session| held.covers(session)).map(|session| session.session_id).collect();
            held.sessions.extend(found);
        }
        Ok(held)
    }
}

/// What is held in a workspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub sessions: HashSet<String>,
    pub users: HashSet<String>,
    pub projects: HashSet<String>,
}

impl Held {
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.users.is_empty() && self.projects.is_empty()
    }

    fn covers(&self, session: &Session) -> bool {
        let users = [&session.user_email, &session.user_id, &session.user_account_id];
        self.names(&session.session_id, users, &session.project)
    }

    /// Whether a row of a session is held: by its session, or by what it says of itself.
    pub fn holds(&self, session: Option<&str>, columns: &Columns) -> bool {
        let users = [&columns.user_email, &columns.user_id, &columns.user_account_id];
        self.names(session.unwrap_or_default(), users, &columns.project)
    }

    fn names(&self, session: &str, users: [&Option<String>; 3], project: &Option<String>) -> bool {
        self.sessions.contains(session)
            || users.into_iter().flatten().any(|user| self.users.contains(user))
            || project.as_ref().is_some_and(|project| self.projects.contains(project))
    }
}
