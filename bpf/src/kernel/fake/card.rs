//! NICs that take programs, and what `kernel/bpf/offload.c` makes of them.

use super::books::{Books, Program};
use super::errno::{EINVAL, ENOMEM, ENOTSUPP, EOPNOTSUPP};
use crate::kernel::{KernelError, MapSpec, ObjectKind, ProgramSpec};

const XDP: u32 = 6;
const SCHED_CLS: u32 = 3;
const HASH: u32 = 1;
const ARRAY: u32 = 2;
pub(super) const PERF_EVENT_ARRAY: u32 = 4;
const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;
pub(super) const BPF_F_XDP_DEV_BOUND_ONLY: u32 = 1 << 6;
/// What the log holds when the verifier found nothing wrong, or never began.
const STATISTICS: &str = "processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 \
                          peak_states 0 mark_read 0\n";

/// What the driver of a NIC says when it refuses: an error number, and its words where they go.
type Word = Option<(i32, String)>;

/// A NIC that takes programs and maps. By default it takes all that the kernel would pass on to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// Which NIC: ports of one share programs and maps.
    pub asic: u32,
    /// Refuses when a program is bound to it, before the verifier begins: no words.
    pub refuses_binding: Option<i32>,
    /// Refuses while the verifier goes through a program: words for the verifier's log.
    pub refuses_instruction: Word,
    /// Refuses when all is verified: words for the kernel's log, and a verifier's log of success.
    pub refuses_translation: Word,
    /// Refuses maps: words for the kernel's log.
    pub refuses_maps: Word,
    /// Most entries of a map; 0 for any number.
    pub most_entries: u32,
    /// Refuses XDP programs at the interface: words for the user.
    pub refuses_xdp: Word,
    /// Refuses classifiers: words for the user.
    pub refuses_filters: Word,
}

impl Books {
    /// `bpf_prog_dev_bound_init` and what the driver says until the program is loaded.
    pub(super) fn bind(&mut self, spec: &ProgramSpec<'_>) -> Result<(), KernelError> {
        let refused =
            |errno| KernelError::new("BPF_PROG_LOAD", format!("program {}", spec.name), errno);
        let logged = |errno, log: &str| KernelError { log: Some(log.to_owned()), ..refused(errno) };
        let host_only = spec.flags & BPF_F_XDP_DEV_BOUND_ONLY != 0;
        let frags = spec.flags & BPF_F_XDP_HAS_FRAGS != 0;
        let flags = spec.flags & !(BPF_F_XDP_DEV_BOUND_ONLY | BPF_F_XDP_HAS_FRAGS);
        let wrong_type = !matches!(spec.kind, XDP | SCHED_CLS) || (spec.kind != XDP && host_only);
        if wrong_type || flags != 0 || (frags && !host_only) {
            return Err(refused(EINVAL));
        }
        let interface = self.interfaces.get(&spec.ifindex).ok_or_else(|| refused(EINVAL))?;
        if !interface.given.native && interface.given.card.is_none() {
            return Err(refused(EOPNOTSUPP));
        }
        if host_only {
            return Ok(());
        }
        let card = interface.given.card.clone().ok_or_else(|| refused(EINVAL))?;
        if let Some(errno) = card.refuses_binding {
            return Err(logged(errno, STATISTICS));
        }
        if let Some((errno, words)) = card.refuses_instruction {
            return Err(logged(errno, &format!("0: (b7) r0 = 2\n{words}\n{STATISTICS}")));
        }
        if let Some((errno, words)) = card.refuses_translation {
            self.log.lines().push(words);
            return Err(logged(errno, STATISTICS));
        }
        Ok(())
    }

    /// `bpf_offload_prog_map_match`: a NIC's program may use that NIC's maps and perf event arrays; a
    /// NIC's map is for programs that are bound to that NIC, those that run on the host included,
    /// although it is of no use to these.
    pub(super) fn map_matches(&self, spec: &ProgramSpec<'_>, map: u32) -> bool {
        let bound = spec.ifindex != 0;
        let offloaded = bound && spec.flags & BPF_F_XDP_DEV_BOUND_ONLY == 0;
        let Some(map) = self.maps.get(&map) else { return false };
        match map.info.ifindex {
            0 => !offloaded || map.info.kind == PERF_EVENT_ARRAY,
            ifindex => bound && self.same_card(ifindex, spec.ifindex),
        }
    }

    /// Whether two interfaces are ports of one NIC.
    pub(super) fn same_card(&self, one: u32, other: u32) -> bool {
        let asic = |ifindex| {
            self.interfaces.get(&ifindex).and_then(|i| i.given.card.as_ref()).map(|card| card.asic)
        };
        one == other || (asic(one).is_some() && asic(one) == asic(other))
    }

    /// `bpf_map_offload_map_alloc` and what the driver says.
    pub(super) fn place_map(&mut self, spec: &MapSpec<'_>) -> Result<(), KernelError> {
        let refused =
            |errno| KernelError::new("BPF_MAP_CREATE", format!("map {}", spec.name), errno);
        if !matches!(spec.kind, HASH | ARRAY) {
            return Err(refused(EINVAL));
        }
        let interface = self.interfaces.get(&spec.ifindex).ok_or_else(|| refused(EINVAL))?;
        if !interface.given.native && interface.given.card.is_none() {
            return Err(refused(EOPNOTSUPP));
        }
        let card = interface.given.card.clone().ok_or_else(|| refused(EINVAL))?;
        if let Some((errno, words)) = card.refuses_maps {
            self.log.lines().push(words);
            return Err(refused(errno));
        }
        if card.most_entries != 0 && spec.max_entries > card.most_entries {
            return Err(refused(ENOMEM));
        }
        if spec.flags != 0 {
            return Err(refused(EINVAL));
        }
        if spec.btf.is_some() {
            return Err(refused(ENOTSUPP));
        }
        Ok(())
    }

    /// A port of a NIC is gone (`__bpf_offload_dev_netdev_unregister`).
    pub(super) fn unplug(&mut self, ifindex: u32, asic: u32) {
        let on = |given: &Option<Card>| given.as_ref().is_some_and(|card| card.asic == asic);
        let left = self.interfaces.iter().find(|(_, i)| on(&i.given.card)).map(|(index, _)| *index);
        for Program { info, orphaned, flags, .. } in self.programs.values_mut() {
            if info.ifindex == ifindex && *flags & BPF_F_XDP_DEV_BOUND_ONLY == 0 {
                info.ifindex = left.unwrap_or(ifindex);
                *orphaned = left.is_none();
            }
        }
        for map in self.maps.values_mut().filter(|map| map.info.ifindex == ifindex) {
            map.info.ifindex = left.unwrap_or(ifindex);
            map.orphaned = left.is_none();
        }
    }

    /// The ids of a kind that the kernel tells: that of an orphaned map is gone, though the map is not.
    pub(super) fn told(&self, kind: ObjectKind) -> Vec<u32> {
        let orphaned = |id: &u32| self.maps.get(id).is_some_and(|map| map.orphaned);
        let ids = self.ids(kind).into_iter();
        ids.filter(|id| kind != ObjectKind::Map || !orphaned(id)).collect()
    }
}
