//! What we say is attached is what iproute2 and bpftool say, whoever attached it.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Command;
use std::sync::Arc;

use hoist_bpf::kernel::{Expect, FilterKey, Kernel, Linux, ProgramSpec, XdpMode};
use hoist_bpf::{Insn, programs};
use hoist_hwtests::lab::{Lab, Port};
use hoist_hwtests::{require, wait};
use hoist_offload::Host as _;
use hoist_offload::device::Slot;
use hoist_offload::host::LinuxHost;
use serde_json::Value;

/// Who attaches.
#[derive(Clone, Copy, Debug)]
enum By {
    Nobody,
    OurLink(XdpMode),
    OurNetlink(XdpMode),
    /// A filter of clsact. (Of tcx neither tool in Debian 12 knows.)
    OurFilter,
    /// `ip link set dev v0 xdpdrv|xdpgeneric object ...`.
    Ip(&'static str),
    /// `bpftool net attach xdpdrv|xdpgeneric ...`.
    Bpftool(&'static str),
}

const CASES: [By; 10] = [
    By::Nobody,
    By::OurLink(XdpMode::Native),
    By::OurLink(XdpMode::Generic),
    By::OurNetlink(XdpMode::Native),
    By::OurNetlink(XdpMode::Generic),
    By::OurFilter,
    By::Ip("xdpdrv"),
    By::Ip("xdpgeneric"),
    By::Bpftool("xdpdrv"),
    By::Bpftool("xdpgeneric"),
];

/// Slots and program ids, as everybody can say them.
type Attached = Vec<(&'static str, u64)>;

#[test]
fn iproute2_and_bpftool_agree_with_us() {
    let name = "iproute2_and_bpftool_agree_with_us";
    if !require::veth_and_command(name, "ip") || !require::veth_and_command(name, "bpftool") {
        return;
    }
    for by in CASES {
        let lab = Lab::pair().unwrap();
        let port = lab.near();
        let kernel: Arc<dyn Kernel> = Arc::new(Linux::new().unwrap());
        let held = port.namespace.run(|| attach(&kernel, port, by));
        let views = [ours(&kernel, port), by_ip(port), by_bpftool(port)];
        let expected = usize::from(!matches!(by, By::Nobody));
        assert!(views.iter().all(|v| v.len() == expected && *v == views[0]), "{by:?}: {views:?}");
        drop(held);
    }
}

/// What must live for the program to stay.
fn attach(kernel: &Arc<dyn Kernel>, port: &Port, by: By) -> Vec<OwnedFd> {
    let tc = matches!(by, By::OurFilter);
    // r0 = XDP_PASS, which TC would not know; exit
    let insns = [Insn::new(0xb7, 0, 0, 0, 2), Insn::new(0x95, 0, 0, 0, 0)];
    let spec = ProgramSpec {
        name: "oracle".to_owned(),
        kind: if tc { 3 } else { 6 },
        expected_attach_type: if tc { 0 } else { 37 },
        insns: &insns,
        license: "GPL".to_owned(),
        ..ProgramSpec::default()
    };
    let program = kernel.load_program(&spec).unwrap();
    let run = |command: &mut Command| {
        let output = port.namespace.output(command, wait::PATIENCE).unwrap();
        assert!(output.status.success(), "{by:?}: {output:?}");
    };
    match by {
        By::Nobody => vec![],
        By::OurLink(mode) => {
            vec![kernel.link_xdp(program.as_fd(), port.ifindex, mode).unwrap()]
        }
        By::OurNetlink(mode) => {
            let fd = Some(program.as_fd());
            kernel.netlink_xdp(port.ifindex, fd, Some(mode), Expect::Empty).unwrap();
            vec![]
        }
        By::OurFilter => {
            kernel.add_clsact(port.ifindex).unwrap();
            let key = FilterKey { priority: 1, handle: 1 };
            kernel.add_filter(port.ifindex, key, program.as_fd(), "oracle").unwrap();
            vec![]
        }
        By::Ip(mode) => {
            let object = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(object.path(), programs::get("pass").unwrap().object).unwrap();
            // iproute2 leaves directories on the first bpffs that it finds; this one goes with it.
            let script = "mount -t bpf bpf /sys/fs/bpf && exec ip link set dev \"$@\"";
            let shell = ["--mount", "sh", "-c", script, "ip", &port.name, mode, "object"];
            run(Command::new("unshare").args(shell).arg(object.path()).args(["section", "xdp"]));
            vec![]
        }
        By::Bpftool(mode) => {
            let id = kernel.program_info(program.as_fd()).unwrap().id.to_string();
            run(Command::new("bpftool").args(["net", "attach", mode, "id", &id, "dev", &port.name]));
            vec![]
        }
    }
}

fn ours(kernel: &Arc<dyn Kernel>, port: &Port) -> Attached {
    let host = LinuxHost::new(Arc::clone(kernel));
    let device = port.namespace.run(|| host.device(&port.name)).unwrap();
    let word = |slot| match slot {
        Slot::Native => "native",
        Slot::Generic => "generic",
        Slot::ClsactIngress => "clsact",
        _ => "other",
    };
    device.attached.iter().map(|a| (word(a.slot), u64::from(a.id))).collect()
}

fn by_ip(port: &Port) -> Attached {
    let answer = json(port, Command::new("ip").args(["-j", "link", "show", "dev", &port.name]));
    let xdp = &answer[0]["xdp"];
    let word = |mode: &Value| match mode.as_u64() {
        Some(1) => "native",
        Some(2) => "generic",
        _ => "other",
    };
    let filters = ["-j", "filter", "show", "dev", &port.name, "ingress"];
    let filters = json(port, Command::new("tc").args(filters));
    let filters = filters.as_array().into_iter().flatten();
    let ids = filters.filter_map(|filter| filter["options"]["prog"]["id"].as_u64());
    let mut attached: Attached = ids.map(|id| ("clsact", id)).collect();
    if !xdp.is_null() {
        attached.push((word(&xdp["mode"]), xdp["prog"]["id"].as_u64().unwrap()));
    }
    attached
}

fn by_bpftool(port: &Port) -> Attached {
    let command = ["-j", "net", "show", "dev", &port.name];
    let answer = json(port, Command::new("bpftool").args(command));
    let word = |mode: &Value| match mode.as_str() {
        Some("driver") => "native",
        Some("generic") => "generic",
        _ => "other",
    };
    let programs = answer[0]["xdp"].as_array().unwrap();
    let xdp = programs.iter().map(|p| (word(&p["mode"]), p["id"].as_u64().unwrap()));
    let filters = answer[0]["tc"].as_array().unwrap();
    let clsact = filters.iter().filter(|p| p["kind"] == "clsact/ingress");
    xdp.chain(clsact.map(|p| ("clsact", p["id"].as_u64().unwrap()))).collect()
}

fn json(port: &Port, command: &mut Command) -> Value {
    let output = port.namespace.output(command, wait::PATIENCE).unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}
