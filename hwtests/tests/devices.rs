//! docs/devices.md against live devices of this kernel. What differs is told by the driver's name.
#![expect(clippy::unwrap_used, reason = "a device that cannot be made has failed the test")]

use std::path::Path;

use hoist_hwtests::devices::{differences, entry};
use hoist_hwtests::dut::Dut;
use hoist_hwtests::frame::mac;
use hoist_hwtests::lab::{Lab, LinkKind, Namespace, Port, Tap};
use hoist_hwtests::require;

/// Which driver's interface of the machine itself may be tried; only a virtual machine says so.
const OWN: &str = "HOIST_OWN_DEVICE";

/// Whether the rows, which are of Linux 6.12, can be asked of this kernel.
fn asked(test: &str) -> bool {
    let older = (!require::kernel(6, 12)).then(|| "Linux 6.12, of which the table is".to_owned());
    require::veth(test) && require::verdict("linux-6.12", test, older)
}

#[track_caller]
fn agree(near: &Port, far: Option<&Port>, driver: &str) {
    let device = Dut::new(near).unwrap().device().unwrap();
    let row = entry(&device).unwrap();
    assert_eq!(row.name, driver, "{}", device.name);
    let found = differences(&row, near, far).unwrap();
    assert!(found.is_empty(), "docs/devices.md and {} differ: {found:#?}", device.name);
}

#[test]
fn a_veth_is_as_the_table_says() {
    if !asked("a_veth_is_as_the_table_says") {
        return;
    }
    let lab = Lab::pair().unwrap();
    agree(lab.near(), Some(lab.far()), "veth");
}

#[test]
fn a_tap_is_as_the_table_says() {
    if !asked("a_tap_is_as_the_table_says") {
        return;
    }
    let namespace = Namespace::new().unwrap();
    let tap = Tap::create(&namespace, "tap0").unwrap();
    agree(&tap.port, None, "tun");
}

#[test]
fn devices_without_native_xdp_are_as_the_table_says() {
    if !asked("devices_without_native_xdp_are_as_the_table_says") {
        return;
    }
    let lab = Lab::pair().unwrap();
    let near = lab.near();
    agree(&Port::find(&near.namespace, "lo").unwrap(), None, "lo");
    for (name, kind, driver) in [
        ("br0", LinkKind::Bridge, "bridge"),
        ("ifb0", LinkKind::Ifb, "ifb"),
        ("mv0", LinkKind::Macvlan(near), "macvlan"),
        ("vl0", LinkKind::Vlan(near, 7), "802.1Q VLAN Support"),
    ] {
        // Small kernels lack some kinds.
        if let Ok(port) = Port::create(&near.namespace, name, mac(7), kind) {
            agree(&port, None, driver);
        }
    }
}

/// The machine's own interface, where it has one that nobody needs.
#[test]
fn the_machines_own_device_is_as_the_table_says() {
    let test = "the_machines_own_device_is_as_the_table_says";
    let driver = std::env::var_os(OWN);
    let unnamed = driver.is_none().then(|| format!("{OWN}, which virtual machines have"));
    if !require::verdict("own-device", test, unnamed) || !asked(test) {
        return;
    }
    let driver = driver.unwrap();
    let driver = driver.to_str().unwrap();
    let here = Namespace::open(Path::new("/proc/thread-self/ns/net")).unwrap();
    let of_driver = |name: &String| {
        let link = std::fs::read_link(format!("/sys/class/net/{name}/device/driver"));
        link.is_ok_and(|link| link.file_name().is_some_and(|file| file == driver))
    };
    let name = Port::all(&here).unwrap().into_iter().find(of_driver).unwrap();
    let port = Port::find(&here, &name).unwrap();
    port.set_up(true).unwrap();
    agree(&port, None, driver);
}

/// Each kind of mistake in a row is told, with the driver's name.
#[test]
fn a_wrong_row_is_found() {
    if !asked("a_wrong_row_is_found") {
        return;
    }
    use hoist_drivers::table::Reports;
    use hoist_offload::device::XdpFeatures;
    let lab = Lab::pair().unwrap();
    let (near, far) = (lab.near(), lab.far());
    let right = entry(&Dut::new(near).unwrap().device().unwrap()).unwrap();
    let with = |change: &dyn Fn(&mut hoist_drivers::table::Entry)| {
        let mut row = right.clone();
        change(&mut row);
        differences(&row, near, Some(far)).unwrap()
    };
    for (what, found) in [
        ("an MTU too small", with(&|row| row.limits[0].most -= 1)),
        ("an MTU too large", with(&|row| row.limits[0].most += 1)),
        ("a feature that is not there", with(&|row| row.reports.always |= XdpFeatures::HW_OFFLOAD)),
        ("a feature that is not listed", with(&|row| row.reports = Reports::NONE)),
        ("no native XDP", with(&|row| row.since = None)),
    ] {
        assert!(!found.is_empty(), "{what} is not found");
        assert!(found.iter().all(|one| one.starts_with("veth: ")), "{what}: {found:?}");
    }
    assert_eq!(with(&|_| {}), [""; 0]);
}
