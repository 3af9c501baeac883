//! What a fault needs of the machine. Where it is missing the fault is skipped, and says why.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Nothing,
    /// A tracer that may trace: some containers forbid it.
    Strace,
    /// The library that tells a process a wrong time.
    Faketime,
    /// Leave to mount a tmpfs.
    Tmpfs,
    /// A control group with a bound on memory.
    MemoryGroup,
}

impl Need {
    /// Why the fault cannot be run here; `None`: it can.
    pub fn missing(self) -> Option<&'static str> {
        let (there, without) = match self {
            Need::Nothing => (true, ""),
            Need::Strace => (runs("strace", &["-f", "-o", "/dev/null", "true"]), "strace is missing or may not trace"),
            Need::Faketime => (faketime().is_some(), "libfaketime is missing"),
            Need::Tmpfs => (tmpfs(), "tmpfs cannot be mounted: that needs root"),
            Need::MemoryGroup => (MemoryGroup::make("probe", "64M").is_some(), "no memory control group can be made"),
        };
        (!there).then_some(without)
    }
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let quiet = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

/// Where libfaketime is.
pub fn faketime() -> Option<&'static str> {
    let places =
        ["/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1", "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"];
    places.into_iter().find(|path| Path::new(path).exists())
}

fn tmpfs() -> bool {
    let Ok(dir) = tempfile::tempdir() else { return false };
    let path = dir.path().display().to_string();
    runs("mount", &["-t", "tmpfs", "none", &path]) && runs("umount", &[&path])
}

/// A control group with a bound on memory; removed when dropped.
pub struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// `limit` as the kernel reads it, `256M` for example.
    pub fn make(name: &str, limit: &str) -> Option<MemoryGroup> {
        let version_1 = Path::new("/sys/fs/cgroup/memory");
        let (root, file) = match version_1.exists() {
            true => (version_1, "memory.limit_in_bytes"),
            false => (Path::new("/sys/fs/cgroup"), "memory.max"),
        };
        let group = root.join(format!("sessionlake-faults-{name}-{}", std::process::id()));
        fs::create_dir(&group).ok()?;
        let made = MemoryGroup(group);
        fs::write(made.0.join(file), limit).ok().map(|()| made)
    }

    /// Runs a program inside.
    pub fn wrapper(&self) -> Vec<String> {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display());
        ["sh", "-c", &enter, "sh"].map(str::to_owned).to_vec()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
