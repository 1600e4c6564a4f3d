//! Programs and maps in a NIC, on netdevsim: inside the VM laboratory. Outside, each test says that it
//! did not run.
#![expect(clippy::unwrap_used, reason = "tests")]

mod attach;
mod classifier;
mod devices;
mod door;
mod faults;
mod lifecycle;
mod maps;
mod probe;
mod programs;
mod support;
