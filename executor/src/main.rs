//! `vmpack-executor`: carries plans out by live migrations.

fn main() -> std::process::ExitCode {
    vmpack_executor::cli::main().into()
}
