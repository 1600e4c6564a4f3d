//! The row of docs/devices.md, held against the simulated NIC.

use std::path::Path;

use hoist_hwtests::devices::{differences, entry};
use hoist_hwtests::lab::{Namespace, Port};
use hoist_hwtests::require;

use crate::support::Nic;

#[test]
fn netdevsim_is_as_the_table_says() {
    if !require::netdevsim("netdevsim_is_as_the_table_says") {
        return;
    }
    let nic = Nic::new(1);
    let device = nic.device();
    let row = entry(&device).unwrap();
    assert_eq!(row.name, "netdevsim");
    let here = Namespace::open(Path::new("/proc/thread-self/ns/net")).unwrap();
    let port = Port::find(&here, &device.name).unwrap();
    let found = differences(&row, &port, None).unwrap();
    assert!(found.is_empty(), "docs/devices.md and {} differ: {found:#?}", device.name);
    nic.empty();
}
