//! Arguments -> command -> exit code.

use std::process::ExitCode;

use clap::Parser;
use sessionlake::cli::{Cli, Failure};

/// Its threads give memory back, and it is faster than the system's under many small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` in `mimalloc.h` (versions 2 and 3): milliseconds until free memory goes back to the system.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

fn main() -> ExitCode {
    use_small_pages();
    give_memory_back_at_once();
    match arguments().and_then(|cli| runtime()?.block_on(cli.run())) {
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

/// The allocator asks for huge pages, of 2 MiB, for all of its memory: what is used in one holds the rest of it. Without
/// them the resident size under load is half of what it is with them (measured: 189 instead of 358 MiB).
fn use_small_pages() {
    // Where that is not possible everything works, in more memory.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

/// A flush or a round of sealing works in much memory for a moment. Kept for the next one, it doubled the resident
/// size under load (measured: 579 instead of 293 MiB) and saved no time.
#[allow(unsafe_code, reason = "the allocator has no other interface")]
fn give_memory_back_at_once() {
    // SAFETY: stores a number in the allocator's table of options, which is not synchronised: no other thread runs yet.
    // The option exists, and every value has a meaning (`mimalloc.h`).
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
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
