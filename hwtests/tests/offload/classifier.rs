//! Classifiers in the NIC (`skip_sw`), what they need of the device, and what excludes them.

use hoist_bpf::kernel::tc::{IN_HW, SKIP_SW};
use hoist_hwtests::require;
use hoist_offload::plan::{Choice, Wanted, Wishes};
use hoist_offload::{EngineKind, Hook};

use crate::support::{Nic, attach, job, kernel, only, refusal};

fn classifier() -> Wishes {
    let wanted = Wanted::at(EngineKind::Hw, Hook::Clsact);
    Wishes { choice: Choice::only(wanted), ..Wishes::default() }
}

fn offload(nic: &Nic, on: bool) {
    kernel().set_feature(&nic.device().name, "hw-tc-offload", on).unwrap();
}

#[test]
fn a_filter_in_the_nic_comes_and_goes() {
    if !require::netdevsim("a_filter_in_the_nic_comes_and_goes") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    let (codes, words) = refusal(attach(&nic.device(), &job("drop"), &classifier()));
    assert_eq!(codes, ["tc-offload-off"], "off by default: {words}");
    // Found out by the kernel, where the snapshot did not tell.
    let unknown = hoist_offload::Device {
        features: hoist_offload::Fact::Unknown { why: "not asked".to_owned() },
        ..nic.device()
    };
    let (codes, words) = refusal(attach(&unknown, &job("drop"), &classifier()));
    assert_eq!(codes, ["tc-offload-off"], "{words}");
    offload(&nic, true);
    let (_, attached) = attach(&nic.device(), &job("drop"), &classifier()).unwrap();
    let ifindex = nic.device().ifindex;
    let filters = kernel.filters(ifindex).unwrap();
    assert_eq!(filters.len(), 1);
    assert_eq!(filters[0].flags & (SKIP_SW | IN_HW), SKIP_SW | IN_HW);
    let effective = attached.effective().unwrap();
    assert_eq!((effective.engine, effective.hook), (EngineKind::Hw, Hook::Clsact));
    assert_eq!(filters[0].program_id, Some(effective.program_id));
    // The feature cannot go while it is used.
    assert!(kernel.set_feature(&nic.device().name, "hw-tc-offload", false).is_err());
    // It is wanted off by now, and would stay on if it were switched off again.
    drop(kernel.set_feature(&nic.device().name, "hw-tc-offload", true));
    // One program runs in a NIC, whichever kind comes first.
    let (codes, words) = refusal(attach(&nic.device(), &job("drop"), &only(EngineKind::Hw)));
    assert!(codes.contains(&"nic-busy".to_owned()), "{codes:?} {words}");
    let unseen = hoist_offload::Device { attached: vec![], ..nic.device() };
    let xdp =
        Wishes { choice: Choice::only(Wanted::at(EngineKind::Hw, Hook::Xdp)), ..Wishes::default() };
    let (codes, words) = refusal(attach(&unseen, &job("drop"), &xdp));
    assert_eq!(codes, ["nic-busy"], "{words}");
    attached.detach().unwrap();
    assert_eq!(kernel.filters(ifindex).unwrap(), []);
    nic.empty();
    let (_, xdp) = attach(&nic.device(), &job("drop"), &only(EngineKind::Hw)).unwrap();
    let unseen = hoist_offload::Device { attached: vec![], ..nic.device() };
    let (codes, words) = refusal(attach(&unseen, &job("drop"), &classifier()));
    assert_eq!(codes, ["nic-busy"], "{words}");
    xdp.detach().unwrap();
    offload(&nic, false);
    nic.empty();
}

#[test]
fn a_filter_in_the_nic_is_replaced_in_place() {
    if !require::netdevsim("a_filter_in_the_nic_is_replaced_in_place") {
        return;
    }
    let (nic, kernel) = (Nic::new(1), kernel());
    offload(&nic, true);
    let device = nic.device();
    let (_, mut attached) = attach(&device, &job("drop"), &classifier()).unwrap();
    let before = attached.effective().unwrap().program_id;
    let engine: &dyn hoist_offload::Engine = &hoist_drivers::CLASSIFIER;
    attached.replace(engine.prepare(&kernel, &device, &job("pass")).unwrap()).unwrap();
    let after = attached.effective().unwrap().program_id;
    assert_ne!(after, before);
    let filters = kernel.filters(device.ifindex).unwrap();
    assert_eq!((filters.len(), filters[0].program_id), (1, Some(after)));
    assert_eq!(filters[0].flags & (SKIP_SW | IN_HW), SKIP_SW | IN_HW);
    // A driver that takes no filter meanwhile does not cost the one that is there.
    nic.set("ports/0/bpf_tc_accept", "N");
    let next = engine.prepare(&kernel, &device, &job("drop")).unwrap();
    let (codes, words) = refusal(attached.replace(next));
    assert_eq!(codes, ["offload-disabled"], "{words}");
    assert_eq!(kernel.filters(device.ifindex).unwrap()[0].program_id, Some(after));
    nic.set("ports/0/bpf_tc_accept", "Y");
    attached.detach().unwrap();
    offload(&nic, false);
    nic.empty();
}

#[test]
fn what_a_classifier_cannot_do_is_told() {
    if !require::netdevsim("what_a_classifier_cannot_do_is_told") {
        return;
    }
    let nic = Nic::new(1);
    offload(&nic, true);
    let (codes, words) = refusal(attach(&nic.device(), &job("swap_tx"), &classifier()));
    assert!(codes.iter().any(|c| c == "missing-feature" || c == "classifier-verdict"), "{words}");
    nic.set("ports/0/bpf_tc_accept", "N");
    let (codes, words) = refusal(attach(&nic.device(), &job("drop"), &classifier()));
    assert_eq!(codes, ["offload-disabled"], "{words}");
    assert!(words.contains("netdevsim configured to reject BPF TC offload"), "{words}");
    nic.set("ports/0/bpf_tc_accept", "Y");
    // Nothing of the refused attempt is left: neither filter nor qdisc nor program.
    assert!(kernel().add_clsact(nic.device().ifindex).unwrap());
    nic.empty();
}
