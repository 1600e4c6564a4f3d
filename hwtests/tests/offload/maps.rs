//! Maps in a NIC behind the same handle as any other: what works, what is refused, and how.

use std::os::fd::AsFd;

use hoist_bpf::kernel::{Kernel, MapSpec};
use hoist_hwtests::require;
use hoist_offload::attach::MapOps;
use hoist_offload::kernel_map::KernelMap;

use crate::support::{Nic, kernel};

const HASH: u32 = 1;
const ARRAY: u32 = 2;

fn made(kernel: &std::sync::Arc<dyn Kernel>, kind: u32, ifindex: u32) -> KernelMap {
    let spec = MapSpec {
        name: "in_nic".to_owned(),
        kind,
        key_size: 4,
        value_size: 8,
        max_entries: 2,
        ifindex,
        ..MapSpec::default()
    };
    KernelMap::found(kernel, kernel.create_map(&spec).unwrap(), "in_nic".to_owned()).unwrap()
}

#[test]
fn entries_go_through_the_device() {
    if !require::netdevsim("entries_go_through_the_device") {
        return;
    }
    let nic = Nic::new(1);
    let kernel = kernel();
    let key = |n: u32| n.to_ne_bytes();
    let value = |n: u64| n.to_ne_bytes();
    let hash = made(&kernel, HASH, nic.device().ifindex);
    assert_eq!(hash.entries().unwrap(), []);
    assert_eq!(hash.lookup(&key(7)).unwrap(), None);
    hash.update(&key(7), &value(70)).unwrap();
    hash.update(&key(8), &value(80)).unwrap();
    hash.update(&key(7), &value(71)).unwrap();
    assert_eq!(hash.lookup(&key(7)).unwrap().as_deref(), Some(&value(71)[..]));
    let mut all = hash.entries().unwrap();
    all.sort();
    let pair = |k, v| (key(k).to_vec(), value(v).to_vec());
    assert_eq!(all, [pair(7, 71), pair(8, 80)]);
    let full = hash.update(&key(9), &value(1)).unwrap_err().to_string();
    assert!(full.contains("E2BIG") && full.contains("the map is full"), "{full}");
    assert!(hash.delete(&key(8)).unwrap());
    assert!(!hash.delete(&key(8)).unwrap());
    assert_eq!(hash.entries().unwrap(), [pair(7, 71)]);

    let array = made(&kernel, ARRAY, nic.device().ifindex);
    assert_eq!(array.entries().unwrap(), [pair(0, 0), pair(1, 0)]);
    array.update(&key(1), &value(5)).unwrap();
    assert_eq!(array.entries().unwrap(), [pair(0, 0), pair(1, 5)]);
    let kept = array.delete(&key(1)).unwrap_err().to_string();
    assert!(kept.contains("EINVAL"), "{kept}");
    let wrong = array.update(&key(1), &[0; 4]).unwrap_err().to_string();
    assert!(wrong.contains("the value has 4 bytes, not 8"), "{wrong}");

    kernel.map_freeze(array.fd()).unwrap();
    let frozen = array.update(&key(1), &value(6)).unwrap_err().to_string();
    assert!(frozen.contains("EPERM") && frozen.contains("read-only"), "{frozen}");
}

#[test]
fn a_map_of_a_nic_that_is_gone_says_so() {
    if !require::netdevsim("a_map_of_a_nic_that_is_gone_says_so") {
        return;
    }
    let nic = Nic::new(1);
    let kernel = kernel();
    let map = made(&kernel, HASH, nic.device().ifindex);
    map.update(&[1; 4], &[2; 8]).unwrap();
    nic.unplug();
    for told in [
        map.lookup(&[1; 4]).map(drop),
        map.update(&[1; 4], &[2; 8]),
        map.delete(&[1; 4]).map(drop),
        map.entries().map(drop),
    ] {
        let told = told.unwrap_err().to_string();
        assert!(told.contains("in_nic") && told.contains("ENODEV"), "{told}");
    }
    let info = kernel.map_info(map.fd().as_fd()).unwrap_err();
    assert_eq!(info.errno, 19, "{info}");
}
