//! Programs and maps in a NIC, on netdevsim: inside the VM laboratory. Outside, each test says that it
//! did not run.
#![expect(clippy::unwrap_used, reason = "tests")]

mod attach;
mod classifier;
mod command;
mod devices;
mod door;
mod faults;
mod filters;
mod lifecycle;
mod maps;
mod orphans;
mod probe;
mod programs;
mod requests;
mod support;
mod verifier;
