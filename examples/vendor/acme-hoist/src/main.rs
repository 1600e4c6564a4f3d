//! hoist with ACME's driver.

fn main() -> std::process::ExitCode {
    hoist::cli::main(hoist::registry().driver(&acme::DRIVER))
}
