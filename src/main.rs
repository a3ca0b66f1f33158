//! The `portcullis` command.

use std::process::ExitCode;

// 12 % of a request's time in measurements against the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    portcullis::cli::main()
}
