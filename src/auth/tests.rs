//! The store and the door together, over real files.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tempfile::TempDir;

use super::store::{MOST_TOKENS, Store, StoreError, Which};
use super::*;
use crate::clock::Clock;
use crate::telemetry::Metrics;

const SECOND: i64 = 1_000_000;

struct Scene {
    dir: TempDir,
    store: Store,
    tokens: Tokens,
    door: Door,
    now: Arc<AtomicI64>,
    metrics: Metrics,
}

impl Scene {
    fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(1_000 * SECOND));
        let hand = Arc::clone(&now);
        let clock = Clock::from_fn(move || hand.load(Ordering::Relaxed));
        let tokens = Tokens::open(dir.path()).unwrap();
        let metrics = Metrics::new(clock.clone());
        let door = Door::guarded(tokens.clone(), clock, metrics.clone());
        Scene { store: Store::new(dir.path()), dir, tokens, door, now, metrics }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("auth/tokens.json")
    }

    fn now(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }

    fn create(&self, wanted: Wanted) -> Result<Token, StoreError> {
        Ok(self.store.create(wanted, random(), [9; 32], self.now())?.0)
    }

    fn refresh(&self) {
        assert!(self.tokens.refresh().unwrap(), "the file was replaced");
    }

    fn admit(&self, token: &Token) -> Result<Caller, Denied> {
        self.admit_text(&format!("Bearer {}", token.reveal()))
    }

    fn admit_text(&self, authorization: &str) -> Result<Caller, Denied> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, authorization.parse().unwrap());
        self.door.admit(&headers, IpAddr::from([10, 0, 0, 1]), Permission::Ingest)
    }
}

/// Different each time.
fn random() -> Randomness {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    Randomness { token: [NEXT.fetch_add(1, Ordering::Relaxed); 30], salt: [3; 16] }
}

fn wanted(name: &str) -> Wanted {
    let workspace = Workspace::parse("acme").unwrap();
    Wanted { workspace, role: Role::Ingest, name: Some(name.to_owned()), group: None, expires_at: None }
}

fn which(text: &str) -> Which {
    Which { text: text.to_owned(), workspace: None }
}

#[test]
fn a_token_opens_its_workspace_until_it_is_revoked() {
    let scene = Scene::new();
    let token = scene.create(wanted("laptops")).unwrap();
    assert_eq!(scene.admit(&token), Err(Denied::Unknown), "not read yet");
    scene.refresh();
    let caller = scene.admit(&token).unwrap();
    assert_eq!((caller.workspace.as_str(), caller.principal.as_deref()), ("acme", Some("laptops")));
    assert!(!scene.tokens.refresh().unwrap(), "nothing changed");
    scene.store.revoke(&which("laptops"), scene.now()).unwrap();
    scene.refresh();
    assert_eq!(scene.admit(&token), Err(Denied::Revoked));
    assert!(matches!(scene.store.revoke(&which("laptops"), scene.now()), Err(StoreError::Over { .. })));
}

#[test]
fn a_token_ends_with_its_time() {
    let scene = Scene::new();
    let expires_at = Some(scene.now() + 60 * SECOND);
    let token = scene.create(Wanted { expires_at, ..wanted("short") }).unwrap();
    scene.refresh();
    assert!(scene.admit(&token).is_ok());
    scene.now.fetch_add(60 * SECOND, Ordering::Relaxed);
    assert_eq!(scene.admit(&token), Err(Denied::Expired));
    assert!(scene.create(wanted("short")).is_ok(), "its name is free again");
}

#[test]
fn a_token_for_reading_does_not_send() {
    let scene = Scene::new();
    let token = scene.create(Wanted { role: Role::Reader, ..wanted("eyes") }).unwrap();
    scene.refresh();
    assert_eq!(scene.admit(&token), Err(Denied::Role(Role::Reader)));
}

#[test]
fn a_group_is_one_principal() {
    let scene = Scene::new();
    let of = |name: &str| scene.create(Wanted { group: Some("fleet".to_owned()), ..wanted(name) }).unwrap();
    let (one, two) = (of("one"), of("two"));
    scene.refresh();
    assert_eq!(scene.admit(&one), scene.admit(&two));
    assert_eq!(scene.admit(&one).unwrap().principal.as_deref(), Some("fleet"));
}

#[test]
fn a_rotation_keeps_everything_but_the_secret() {
    let scene = Scene::new();
    let expires_at = Some(scene.now() + 100 * SECOND);
    let first = scene.create(Wanted { expires_at, ..wanted("laptops") }).unwrap();
    scene.now.fetch_add(50 * SECOND, Ordering::Relaxed);
    let (second, entry) =
        scene.store.rotate(&which(first.id()), random(), Some(scene.now() + 10 * SECOND), scene.now()).unwrap();
    scene.refresh();
    assert_eq!((entry.name.as_str(), entry.expires_at), ("laptops", Some(scene.now() + 100 * SECOND)));
    assert_eq!(scene.admit(&first), scene.admit(&second), "both are good while they overlap");
    assert!(matches!(scene.store.revoke(&which("laptops"), scene.now()), Err(StoreError::Ambiguous { .. })));
    scene.now.fetch_add(10 * SECOND, Ordering::Relaxed);
    assert_eq!(scene.admit(&first), Err(Denied::Expired));
    let (third, _) = scene.store.rotate(&which("laptops"), random(), None, scene.now()).unwrap();
    scene.refresh();
    assert_eq!(scene.admit(&second), Err(Denied::Revoked));
    assert!(scene.admit(&third).is_ok());
}

#[test]
fn a_token_of_another_key_with_the_same_id_is_unknown() {
    let scene = Scene::new();
    let mut random = random();
    let token = scene.store.create(wanted("a"), Randomness { ..random }, [9; 32], scene.now()).unwrap().0;
    scene.refresh();
    random.token[29] ^= 1;
    let forged = Token::new(random.token);
    assert_eq!(forged.id(), token.id());
    assert_eq!(scene.admit(&forged), Err(Denied::Unknown));
}

#[test]
fn who_guesses_is_slowed_down_and_who_is_right_passes() {
    let scene = Scene::new();
    let token = scene.create(wanted("laptops")).unwrap();
    scene.refresh();
    let guesses: Vec<Denied> = (0..60).map(|_| scene.admit_text("Bearer nonsense").unwrap_err()).collect();
    assert_eq!(guesses[0], Denied::Malformed);
    assert!(matches!(guesses[59], Denied::TooMany { seconds: 60 }));
    assert!(scene.admit(&token).is_ok());
    let nothing = scene.door.admit(&HeaderMap::new(), IpAddr::from([10, 0, 0, 1]), Permission::Ingest);
    assert_eq!(nothing, Err(Denied::Missing), "no guess");
    let counts = scene.metrics.auth_failures.read();
    assert_eq!(counts.iter().map(|(_, n)| n).sum::<u64>(), 61, "{counts:?}");
}

#[test]
fn nothing_that_is_stored_tells_a_token() {
    let scene = Scene::new();
    let token = scene.create(wanted("laptops")).unwrap();
    let dir = scene.dir.path().join("auth");
    let mut seen = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(&token.reveal()[4 + 8..]), "{}", path.display());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 3, "key, tokens, lock");
    assert_eq!(dir.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let entry = &scene.store.read().unwrap().entries[0];
    assert!(entry.scram.starts_with("SCRAM-SHA-256$4096:"));
}

#[test]
fn a_damaged_file_changes_nothing_and_is_never_quoted() {
    let scene = Scene::new();
    let token = scene.create(wanted("laptops")).unwrap();
    scene.refresh();
    let good = std::fs::read_to_string(scene.file()).unwrap();
    for bad in ["", "{", r#"{"version":1,"tokens":[{"id":"hunter2"}]}"#, r#"{"version":2,"tokens":[]}"#] {
        std::fs::write(scene.file(), bad).unwrap();
        let error = scene.tokens.refresh().unwrap_err().to_string();
        assert!(error.contains("tokens.json is damaged") && !error.contains("hunter2"), "{error}");
        assert!(scene.admit(&token).is_ok());
        assert!(scene.create(wanted("next")).is_err(), "nothing is written over it");
    }
    std::fs::write(scene.file(), good).unwrap();
    scene.refresh();
    std::fs::set_permissions(scene.file(), std::fs::Permissions::from_mode(0o400)).unwrap();
    assert!(scene.tokens.refresh().unwrap(), "what was not readable may be now");
    std::fs::remove_file(scene.file()).unwrap();
    scene.refresh();
    assert_eq!(scene.admit(&token), Err(Denied::Unknown), "without the file nobody is known");
}

#[test]
fn names_are_checked_and_unique_while_they_are_in_use() {
    let scene = Scene::new();
    scene.create(wanted("laptops")).unwrap();
    assert!(matches!(scene.create(wanted("laptops")), Err(StoreError::Taken { .. })));
    let elsewhere = Wanted { workspace: Workspace::parse("other").unwrap(), ..wanted("laptops") };
    scene.create(elsewhere).unwrap();
    assert!(matches!(scene.store.revoke(&which("laptops"), 0), Err(StoreError::Ambiguous { .. })));
    let workspace = Some(Workspace::parse("other").unwrap());
    assert!(scene.store.revoke(&Which { workspace, ..which("laptops") }, 0).is_ok());
    for bad in ["", "a b", "a/b", "\u{1b}[2J", &"a".repeat(65)] {
        assert!(matches!(scene.create(wanted(bad)), Err(StoreError::Name)), "{bad}");
    }
    assert!(matches!(scene.store.revoke(&which("nobody"), 0), Err(StoreError::Unknown(_))));
}

#[test]
fn a_store_that_is_missing_is_not_made_by_a_change() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::new(&dir.path().join("typo"));
    assert!(matches!(store.revoke(&which("laptops"), 0), Err(StoreError::Unknown(_))));
    assert!(!dir.path().join("typo").exists());
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let create = |n: u8, dir: &Path| {
        let random = Randomness { token: [n; 30], salt: [n; 16] };
        Store::new(dir).create(wanted(&format!("t{n}")), random, [n; 32], 0).unwrap().0
    };
    let tokens: Vec<Token> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..16).map(|n| scope.spawn(move || create(n, path))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let known = Tokens::open(dir.path()).unwrap();
    assert_eq!(known.active(0), 16);
    assert!(tokens.iter().all(|token| known.check(token, Permission::Ingest, 0).is_ok()));
}

#[test]
fn a_full_store_forgets_who_is_over_first() {
    let scene = Scene::new();
    scene.create(wanted("first")).unwrap();
    let mut contents = scene.store.read().unwrap();
    let entry = contents.entries.remove(0);
    let mut entries: Vec<Entry> =
        (0..MOST_TOKENS).map(|n| Entry { id: format!("{n:08}"), name: format!("n{n}"), ..entry.clone() }).collect();
    let write = |entries: &[Entry]| {
        let document = serde_json::json!({"version": 1, "tokens": entries});
        std::fs::write(scene.file(), document.to_string()).unwrap();
    };
    write(&entries);
    assert!(matches!(scene.create(wanted("more")), Err(StoreError::Full)));
    entries[7].revoked_at = Some(0);
    write(&entries);
    scene.create(wanted("more")).unwrap();
    let left = scene.store.read().unwrap().entries;
    assert_eq!(left.len(), MOST_TOKENS);
    assert!(!left.iter().any(|entry| entry.id == "00000007") && left.iter().any(|entry| entry.name == "more"));
}
