//! libxdp's dispatcher: one XDP program that calls up to ten others, which replace its functions
//! `prog0` to `prog9`. Which they are is known from the links; their priorities from the
//! configuration in the dispatcher's `.rodata`.

use std::os::fd::AsFd;

use hoist_bpf::kernel::{Kernel, LinkInfo, ObjectKind, ProgramInfo};

use super::attached::program;
use crate::device::Component;

const NAME: &str = "xdp_dispatcher";
const BPF_LINK_TYPE_TRACING: u32 = 2;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
/// `XDP_DISPATCHER_MAGIC`, since version 2 of the configuration.
const MAGIC: u8 = 236;
const MAX_PROGRAMS: usize = 10;

/// The programs inside, in the order they run; `None` when the program is no dispatcher.
pub(super) fn components(kernel: &dyn Kernel, dispatcher: &ProgramInfo) -> Option<Vec<Component>> {
    if dispatcher.name != NAME {
        return None;
    }
    let mut links = replacements(kernel, dispatcher.id);
    // The functions' BTF ids ascend in the order in which the dispatcher calls them.
    links.sort_by_key(|l| l.target_btf_id);
    let priorities = configuration(kernel, dispatcher).unwrap_or_default();
    let component = |(at, link): (usize, &LinkInfo)| Component {
        id: link.program_id,
        name: program(kernel, link.program_id).map(|p| p.name),
        priority: priorities.get(at).copied(),
    };
    Some(links.iter().enumerate().map(component).collect())
}

/// Links of programs that replace functions of the dispatcher; none where they may not be listed.
fn replacements(kernel: &dyn Kernel, dispatcher: u32) -> Vec<LinkInfo> {
    let ids = kernel.ids(ObjectKind::Link).unwrap_or_default();
    ids.into_iter()
        .filter_map(|id| {
            let fd = kernel.open(ObjectKind::Link, id).ok()??;
            kernel.link_info(fd.as_fd()).ok()
        })
        .filter(|l| l.kind == BPF_LINK_TYPE_TRACING && l.target_id == dispatcher)
        .collect()
}

fn configuration(kernel: &dyn Kernel, dispatcher: &ProgramInfo) -> Option<Vec<u32>> {
    dispatcher.map_ids.iter().find_map(|id| {
        let map = kernel.open(ObjectKind::Map, *id).ok()??;
        let info = kernel.map_info(map.as_fd()).ok()?;
        if info.kind != BPF_MAP_TYPE_ARRAY || !info.name.ends_with(".rodata") {
            return None;
        }
        let length = usize::try_from(info.value_size).ok()?;
        let bytes = kernel.map_lookup(map.as_fd(), &0_u32.to_ne_bytes(), length).ok()??;
        priorities(&bytes)
    })
}

/// Reads `struct xdp_dispatcher_config` of libxdp: the number of programs (its offset tells version
/// 1 from 2), ten masks of actions, ten priorities. Host byte order.
fn priorities(bytes: &[u8]) -> Option<Vec<u32>> {
    const HEADER: usize = 4;
    let count = match bytes {
        [MAGIC, _, count, ..] | [count, 0, 0, 0, ..] => usize::from(*count),
        _ => return None,
    };
    let start = HEADER + MAX_PROGRAMS * 4;
    let words = bytes.get(start..start + MAX_PROGRAMS * 4)?.chunks_exact(4);
    let numbers = words.map(|w| u32::from_ne_bytes([w[0], w[1], w[2], w[3]]));
    (count <= MAX_PROGRAMS).then(|| numbers.take(count).collect())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use hoist_bpf::insn::Insn;
    use hoist_bpf::kernel::fake::Fake;
    use hoist_bpf::kernel::{MapSpec, ProgramSpec};

    use super::*;

    fn rodata(header: [u8; 4], priorities: &[u32]) -> Vec<u8> {
        let actions = [1_u32 << 2; MAX_PROGRAMS];
        let mut runs = priorities.to_vec();
        runs.resize(MAX_PROGRAMS, 0);
        let flags = [0_u32; MAX_PROGRAMS];
        let words = actions.into_iter().chain(runs).chain(flags);
        header.into_iter().chain(words.flat_map(u32::to_ne_bytes)).collect()
    }

    /// A dispatcher as libxdp leaves it: two programs in it, attached in the reverse order, and one
    /// elsewhere.
    #[test]
    fn programs_inside_are_listed_in_the_order_they_run() {
        let kernel = Fake::new();
        let config = rodata([MAGIC, 2, 2, 0], &[20, 50]);
        let map = kernel
            .create_map(&MapSpec {
                name: "xdp_disp.rodata".to_owned(),
                kind: BPF_MAP_TYPE_ARRAY,
                key_size: 4,
                value_size: u32::try_from(config.len()).expect("small"),
                max_entries: 1,
                ..MapSpec::default()
            })
            .expect("a map");
        kernel.map_update(map.as_fd(), &[0; 4], &config, 0).expect("a value");
        let load = |name: &str| {
            let code = [
                Insn::new(0x18, 1, 1, 0, map.as_raw_fd()),
                Insn::default(),
                Insn::new(0xb7, 0, 0, 0, 2),
                Insn::new(0x95, 0, 0, 0, 0),
            ];
            let spec = ProgramSpec {
                name: name.to_owned(),
                kind: 6,
                insns: &code,
                license: "GPL".to_owned(),
                ..ProgramSpec::default()
            };
            let program = kernel.load_program(&spec).expect("a program");
            let info = kernel.program_info(program.as_fd()).expect("its facts");
            (program, info)
        };
        let (_dispatcher, dispatcher) = load(NAME);
        let (_other, other) = load("other");
        let (first, second, stranger) = (load("first"), load("second"), load("stranger"));
        let _links = [
            kernel.extend(second.0.as_fd(), dispatcher.id, 31),
            kernel.extend(first.0.as_fd(), dispatcher.id, 30),
            kernel.extend(stranger.0.as_fd(), other.id, 30),
        ];
        let found = components(&kernel, &dispatcher).expect("a dispatcher");
        let found: Vec<_> = found.iter().map(|c| (c.id, c.name.as_deref(), c.priority)).collect();
        let expected =
            [(first.1.id, Some("first"), Some(20)), (second.1.id, Some("second"), Some(50))];
        assert_eq!(found, expected);
        assert_eq!(components(&kernel, &other), None);
    }

    #[test]
    fn priorities_of_both_layouts_are_read() {
        let cases = [
            (rodata([MAGIC, 2, 2, 0], &[20, 50]), Some(vec![20, 50])),
            (rodata([3, 0, 0, 0], &[10, 10, 90]), Some(vec![10, 10, 90])),
            (rodata([MAGIC, 2, 0, 0], &[]), Some(vec![])),
            (rodata([MAGIC, 2, 11, 0], &[1]), None),
            (rodata([7, 7, 7, 7], &[1]), None),
            (rodata([MAGIC, 2, 2, 0], &[20, 50])[..60].to_vec(), None),
            (Vec::new(), None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(priorities(&bytes), expected, "{bytes:?}");
        }
    }
}
