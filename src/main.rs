//! Arguments -> command -> exit code.

use std::process::ExitCode;

use clap::Parser;
use sessionlake::cli::{Cli, Failure};

/// What is free goes back to the system soon: see [`MALLOC_CONF`]. C libraries keep the system's allocator: in its place
/// this one would wait for itself under libfaketime, which allocates when the time is read.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// jemalloc's settings, which it reads before `main`. A flush or a round of sealing works in much memory for a moment, on
/// any thread: so few arenas, 50 ms until free memory goes back, and nothing beyond 4 KiB kept for each thread
/// (measured under 10,000 records/s: 75 MiB in use, 150 to 230 with an allocator that keeps a heap for each thread; with
/// two arenas 20 MiB less at the peak than with four, at the same speed).
#[allow(unsafe_code, reason = "the name by which jemalloc finds its settings")]
// SAFETY: nothing else has that name, and jemalloc expects a pointer to a string that ends with a zero byte (jemalloc(3),
// "TUNING"): a reference to a byte is such a pointer.
#[unsafe(export_name = "_rjem_malloc_conf")]
static MALLOC_CONF: Option<&'static u8> =
    b"narenas:2,dirty_decay_ms:50,muzzy_decay_ms:0,background_thread:true,lg_tcache_max:12\0".first();

fn main() -> ExitCode {
    match arguments().and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.to_string();
            if !text.is_empty() {
                eprintln!("{text}");
            }
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    system_heap::keep_little(!cli.is_maintenance());
    use_small_pages();
    runtime()?.block_on(cli.run())
}

/// The system's allocator, which C libraries use: compression and decompression work in tens to hundreds of kilobytes for
/// each column of a file, on any thread.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod system_heap {
    /// Unasked, glibc keeps a heap for each of many threads.
    const ARENAS: i32 = 2;
    /// Blocks from that size on go back to the system when they are freed, and so does what is free at a heap's end. Bytes:
    /// a decompressor is of 96 KiB, there is one for each column of each file that is open, and what is freed in the
    /// middle of a heap stays in memory (measured under 10,000 records/s: 104 MiB of heaps with 256 KiB here, 16 with 64).
    const KEEPS: i32 = 32 << 10;

    /// `very`: at the cost of a tenth of the time that putting files together takes. Where that is not possible
    /// everything works, in more memory.
    pub fn keep_little(very: bool) {
        #[allow(unsafe_code, reason = "the C library's own way to set up its allocator")]
        // SAFETY: mallopt(3) takes two integers and may be called at any time; no other thread runs yet that could call
        // it at the same time. The parameters are ones that glibc has.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, ARENAS);
            if very {
                libc::mallopt(libc::M_MMAP_THRESHOLD, KEEPS);
                libc::mallopt(libc::M_TRIM_THRESHOLD, KEEPS);
            }
        }
    }
}

/// Where the kernel gives huge pages, of 2 MiB, unasked, what is used in one holds the rest of it. Without them the
/// resident size under load was half of what it was with them (measured with another allocator: 189 instead of 358 MiB).
fn use_small_pages() {
    // Where that is not possible everything works, in more memory.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// What was typed. `--help` and `--version` print and exit with 0.
fn arguments() -> Result<Cli, Failure> {
    match Cli::try_parse() {
        Ok(cli) => Ok(cli),
        Err(error) if error.use_stderr() => Err(Failure::usage(&error)),
        Err(error) => error.exit(),
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
