//! A disk in memory that loses power, tears writes, and fails: what was not synced survives a crash in part or not at
//! all, and what failed to sync can still be read until then, as with a page cache.

use std::collections::BTreeMap;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::disk::{Disk, DiskFile, DiskLock, Space};

/// A crash keeps or loses writes by units of that many bytes: a disk's sectors, or a file system's pages.
const SECTORS: [usize; 2] = [512, 4096];

/// What an endless disk says of itself, bytes: small, so that the journal's reserve on it is.
const ENDLESS: u64 = 4 << 20;

/// Seeded coin flips (SplitMix64).
#[derive(Clone)]
struct Coin(u64);

impl Coin {
    fn flip(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) & 1 == 1
    }
}

#[derive(Clone)]
pub(super) struct ModelDisk(Arc<Mutex<World>>);

struct World {
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Not synced yet, in order.
    moves: Vec<Move>,
    coin: Coin,
    faults: Faults,
}

/// What goes wrong next.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    /// After that many changes the power is gone: everything fails.
    pub power_for: Option<u64>,
    /// That many syncs of files fail.
    pub syncs: u64,
    /// That many writes fail half-way.
    pub writes: u64,
    /// The disk has that many bytes; `None`: endless.
    pub capacity: Option<u64>,
}

#[derive(Clone, Default)]
struct Node {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// A name that goes (from), one that comes (to), or both at once.
struct Move {
    from: Option<PathBuf>,
    to: Option<(PathBuf, usize)>,
}

impl Node {
    /// Makes durable what a failing or crashing disk happens to have written.
    fn tear(&mut self, coin: &mut Coin) {
        let sector = SECTORS[usize::from(coin.flip())];
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Length(len) if coin.flip() => self.durable.resize(len, 0),
                Change::Length(_) => {}
                Change::Write(offset, bytes) => {
                    let mut at = offset;
                    while at < offset + bytes.len() {
                        let end = ((at / sector + 1) * sector).min(offset + bytes.len());
                        if coin.flip() {
                            write(&mut self.durable, at, &bytes[at - offset..end - offset]);
                        }
                        at = end;
                    }
                }
            }
        }
    }
}

fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    file.resize(file.len().max(at + bytes.len()), 0);
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Move {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        if let Some(from) = &self.from {
            names.remove(from);
        }
        if let Some((to, node)) = &self.to {
            names.insert(to.clone(), *node);
        }
    }

    fn touches(&self, dir: &Path) -> bool {
        let paths = self.from.iter().chain(self.to.iter().map(|(to, _)| to));
        paths.into_iter().any(|path| path.parent() == Some(dir))
    }
}

impl World {
    /// Counts a change; fails when the power is gone.
    fn change(&mut self) -> io::Result<()> {
        self.powered()?;
        if let Some(left) = &mut self.faults.power_for {
            *left -= 1;
        }
        Ok(())
    }

    fn powered(&self) -> io::Result<()> {
        if self.faults.power_for == Some(0) { Err(io::Error::other("power is off")) } else { Ok(()) }
    }

    fn used(&self) -> u64 {
        self.names.values().map(|node| self.nodes[*node].now.len() as u64).sum()
    }

    fn apply(&mut self, change: Move) {
        change.apply(&mut self.names);
        self.moves.push(change);
    }

    fn node(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl ModelDisk {
    pub(super) fn new(seed: u64) -> ModelDisk {
        ModelDisk(Arc::new(Mutex::new(World {
            nodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            moves: Vec::new(),
            coin: Coin(seed),
            faults: Faults::default(),
        })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    pub(super) fn faults(&self, set: impl FnOnce(&mut Faults)) {
        set(&mut self.world().faults);
    }

    /// The disk after a power loss. Nothing that happens to the old one reaches it.
    pub(super) fn crash(&self) -> ModelDisk {
        let mut world = self.world();
        let mut coin = world.coin.clone();
        let mut names = world.durable_names.clone();
        world.moves.iter().filter(|_| coin.flip()).for_each(|change| change.apply(&mut names));
        let mut nodes = world.nodes.clone();
        for node in &mut nodes {
            node.tear(&mut coin);
            node.now = node.durable.clone();
        }
        world.faults.power_for = Some(0);
        let (durable_names, faults) = (names.clone(), Faults::default());
        ModelDisk(Arc::new(Mutex::new(World { nodes, names, durable_names, moves: Vec::new(), coin, faults })))
    }

    /// Leaves that many bytes free.
    pub(super) fn fill(&self, left: u64) {
        let mut world = self.world();
        world.faults.capacity = Some(world.used() + left);
    }

    /// All files as they are now.
    pub(super) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let world = self.world();
        world.names.iter().map(|(path, node)| (path.clone(), world.nodes[*node].now.clone())).collect()
    }

    /// Changes a file behind the journal's back.
    pub(super) fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut world = self.world();
        let node = world.node(path).unwrap();
        change(&mut world.nodes[node].now);
        world.nodes[node].durable = world.nodes[node].now.clone();
    }

    /// An independent copy, with everything durable.
    pub(super) fn copy(&self) -> ModelDisk {
        let mut world = self.world();
        for node in &mut world.nodes {
            node.durable = node.now.clone();
            node.pending.clear();
        }
        world.durable_names = world.names.clone();
        world.moves.clear();
        let (nodes, names, durable_names) = (world.nodes.clone(), world.names.clone(), world.names.clone());
        let (coin, faults) = (world.coin.clone(), Faults::default());
        ModelDisk(Arc::new(Mutex::new(World { nodes, names, durable_names, moves: Vec::new(), coin, faults })))
    }

    fn file(&self, node: usize) -> Box<dyn DiskFile> {
        Box::new(ModelFile { disk: self.clone(), node })
    }
}

impl Disk for ModelDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.world().change()
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        world.powered()?;
        let inside = world.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.world();
        world.change()?;
        let node = world.node(path).unwrap_or(world.nodes.len());
        if node == world.nodes.len() {
            world.nodes.push(Node::default());
            world.apply(Move { from: None, to: Some((path.to_owned(), node)) });
        }
        world.nodes[node].now.clear();
        world.nodes[node].pending.push(Change::Length(0));
        Ok(self.file(node))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let world = self.world();
        world.powered()?;
        Ok(self.file(world.node(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        let node = world.node(from)?;
        world.apply(Move { from: Some(from.to_owned()), to: Some((to.to_owned(), node)) });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        world.node(path)?;
        world.apply(Move { from: Some(path.to_owned()), to: None });
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change()?;
        let (synced, left) = std::mem::take(&mut world.moves).into_iter().partition(|change| change.touches(dir));
        world.moves = left;
        let synced: Vec<Move> = synced;
        synced.iter().for_each(|change| change.apply(&mut world.durable_names));
        Ok(())
    }

    fn space(&self, _: &Path) -> io::Result<Space> {
        let world = self.world();
        world.powered()?;
        Ok(match world.faults.capacity {
            Some(total) => Space { total, available: total.saturating_sub(world.used()) },
            None => Space { total: ENDLESS, available: ENDLESS },
        })
    }

    fn lock(&self, _: &Path) -> Result<DiskLock, TryLockError> {
        self.world().powered().map_err(TryLockError::Error)?;
        Ok(Box::new(()))
    }
}

struct ModelFile {
    disk: ModelDisk,
    node: usize,
}

impl ModelFile {
    /// Fails when the file cannot be `len` bytes long.
    fn has_room(&self, len: u64) -> io::Result<()> {
        let world = self.disk.world();
        let more = len.saturating_sub(world.nodes[self.node].now.len() as u64);
        match world.faults.capacity.is_some_and(|capacity| more > 0 && world.used() + more > capacity) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }

    fn change(&self, change: impl FnOnce(&mut World, &mut Node) -> io::Result<()>) -> io::Result<()> {
        let mut world = self.disk.world();
        world.change()?;
        let mut node = std::mem::take(&mut world.nodes[self.node]);
        let result = change(&mut world, &mut node);
        world.nodes[self.node] = node;
        result
    }
}

impl DiskFile for ModelFile {
    fn len(&self) -> io::Result<u64> {
        let world = self.disk.world();
        world.powered()?;
        Ok(world.nodes[self.node].now.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let world = self.disk.world();
        world.powered()?;
        let rest = world.nodes[self.node].now.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.has_room(offset + bytes.len() as u64)?;
        self.change(|world, node| {
            let fails = world.faults.writes > 0;
            let bytes = if fails { &bytes[..bytes.len() / 2] } else { bytes };
            write(&mut node.now, offset as usize, bytes);
            node.pending.push(Change::Write(offset as usize, bytes.to_vec()));
            world.faults.writes -= u64::from(fails);
            if fails { Err(io::Error::other("write failed")) } else { Ok(()) }
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.has_room(len)?;
        self.set_len(len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(|_, node| {
            node.now.resize(len as usize, 0);
            node.pending.push(Change::Length(len as usize));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(|world, node| {
            if world.faults.syncs > 0 {
                world.faults.syncs -= 1;
                node.tear(&mut world.coin);
                return Err(io::Error::other("sync failed"));
            }
            for change in std::mem::take(&mut node.pending) {
                match change {
                    Change::Length(len) => node.durable.resize(len, 0),
                    Change::Write(offset, bytes) => write(&mut node.durable, offset, &bytes),
                }
            }
            Ok(())
        })
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }
}
