//! Arguments -> command -> exit code.

use std::process::ExitCode;

use clap::Parser;
use sessionlake::cli::{Cli, Failure};

/// Its threads give memory back, and it is faster than the system's under many small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
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
