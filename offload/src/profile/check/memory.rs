//! Loads, stores and atomic instructions: through which pointers, and where.

use hoist_bpf::analysis::{Given, Kinds, Span, Value, Values};
use hoist_bpf::opcode::{access_bytes, atomic, class, mode};

use super::survey::{Spot, Survey};
use super::{ProgramType, Rule};

/// What the driver knows how to access.
const ACCESSED: Kinds =
    Kinds::CONTEXT.union(Kinds::STACK).union(Kinds::MAP_VALUE).union(Kinds::PACKET);

impl Survey<'_> {
    pub(super) fn memory(&mut self, values: &Values) {
        for spot in self.spots(values) {
            let insn = spot.insn();
            let mode = insn.code & 0xe0;
            let Some(given) = values.given(spot.function, spot.position) else { continue };
            match (insn.class(), mode) {
                (class::LDX, mode::MEM) => self.load(spot, given),
                (class::STX, mode::MEM) => self.store(spot, given),
                (class::STX, mode::ATOMIC) => self.atomic(spot, given),
                // Refused as such; of the context, it is refused already by the verifier.
                _ => {}
            }
        }
    }

    fn load(&mut self, spot: Spot<'_>, given: &Given) {
        if given.src == Value::Context {
            let insn = spot.insn();
            let fields = match self.kind {
                ProgramType::Xdp => &self.profile.context.xdp_reads,
                ProgramType::Classifier => &self.profile.context.classifier_reads,
            };
            if !fields.contains(&insn.off) || access_bytes(insn.code) != 4 {
                let field = field(self.kind, insn.off);
                self.broken(Rule::ContextRead, spot, format!("{insn}: reads {field}"));
            }
            return;
        }
        self.pointer(spot, given.src);
    }

    fn store(&mut self, spot: Spot<'_>, given: &Given) {
        let insn = spot.insn();
        if given.dst == Value::Context {
            let writes = &self.profile.context.xdp_writes;
            let parameter = match self.kind {
                ProgramType::Xdp => writes.get(&insn.off).cloned(),
                ProgramType::Classifier => None,
            };
            let field = field(self.kind, insn.off);
            match parameter {
                None => {
                    self.broken(Rule::ContextStore, spot, format!("{insn}: writes {field}"));
                }
                Some(parameter) => {
                    if let Some((_, source)) = self.demand(&parameter, 1) {
                        let message = format!(
                            "{insn}: writes {field}, which this firmware does not take ({source})"
                        );
                        self.broken(Rule::Firmware, spot, message);
                    }
                }
            }
            return;
        }
        if given.dst.kinds().contains(Kinds::MAP_VALUE) {
            let map = self.map_name(given.dst);
            self.broken_at_map(
                Rule::MapStore,
                spot,
                &map,
                format!("{insn}: stores to a value of the map {map}"),
            );
        }
        self.pointer(spot, given.dst);
    }

    fn atomic(&mut self, spot: Spot<'_>, given: &Given) {
        let insn = spot.insn();
        if insn.imm != 0 {
            let what = match insn.imm {
                atomic::LOAD_ACQUIRE | atomic::STORE_RELEASE => "orders memory accesses",
                imm if imm & atomic::FETCH != 0 => "returns what was there before",
                _ => "is no addition",
            };
            return self.broken(Rule::Atomic, spot, format!("{insn}: {what}"));
        }
        let kinds = given.dst.kinds() - Kinds::SCALAR;
        if kinds != Kinds::MAP_VALUE {
            let message = format!("{insn}: adds to {}", self::kinds(given.dst.kinds()));
            return self.broken(Rule::Atomic, spot, message);
        }
        if given.src.kinds() != Kinds::SCALAR {
            let message = format!("{insn}: adds {}", self::kinds(given.src.kinds()));
            return self.broken(Rule::Atomic, spot, message);
        }
        self.pointer(spot, given.dst);
    }

    /// The rules on what memory is accessed through.
    fn pointer(&mut self, spot: Spot<'_>, base: Value) {
        let insn = spot.insn();
        // The verifier lets no number be dereferenced: where one may be, it is another way's.
        let pointers = base.kinds() - Kinds::SCALAR;
        if pointers.bits().count_ones() > 1 {
            let message = format!("{insn}: accesses {} on different ways", kinds(pointers));
            return self.broken(Rule::PointerChanges, spot, message);
        }
        if !ACCESSED.contains(pointers) || pointers.is_empty() {
            let what = if pointers.is_empty() {
                "memory of which it cannot be shown what it is: something that a helper handed out"
                    .to_owned()
            } else {
                kinds(pointers)
            };
            return self.broken(Rule::Pointer, spot, format!("{insn}: accesses {what}"));
        }
        match base {
            Value::Stack { at, .. } if at.constant().is_none() => {
                let message = format!(
                    "{insn}: it cannot be shown at which offset of the stack{}; an index that is a constant would",
                    between(at)
                );
                self.broken(Rule::StackOffset, spot, message);
            }
            Value::MapValue { at, .. } if at.constant().is_none() => {
                let map = self.map_name(base);
                let message = format!(
                    "{insn}: it cannot be shown at which offset of a value of the map {map}{}; an index that is a constant would",
                    between(at)
                );
                self.broken_at_map(Rule::MapOffset, spot, &map, message);
            }
            Value::Mixed(_) if pointers == Kinds::MAP_VALUE => {
                let message =
                    format!("{insn}: it cannot be shown at which offset of which map's value");
                self.broken(Rule::MapOffset, spot, message);
            }
            _ => {}
        }
    }

    /// The name of the map that a pointer points into.
    pub(super) fn map_name(&self, pointer: Value) -> String {
        match pointer {
            Value::MapValue { map: Some(map), .. } => self.module.map(map).name.clone(),
            _ => "?".to_owned(),
        }
    }
}

/// Where an access may be, in words.
fn between(at: Span) -> String {
    if at.low <= Span::ALL.low || at.high >= Span::ALL.high {
        return String::new();
    }
    format!(" ({} to {})", at.low, at.high)
}

/// Kinds of values in words.
pub(super) fn kinds(kinds: Kinds) -> String {
    let names = [
        (Kinds::SCALAR, "a number"),
        (Kinds::CONTEXT, "the context"),
        (Kinds::PACKET, "the packet"),
        (Kinds::PACKET_END, "the packet's end"),
        (Kinds::METADATA, "the packet's metadata"),
        (Kinds::STACK, "the stack"),
        (Kinds::MAP, "a map"),
        (Kinds::MAP_VALUE, "a map's value"),
        (Kinds::FUNCTION, "a function"),
        (Kinds::OTHER, "memory handed to a global function"),
    ];
    let named: Vec<_> =
        names.iter().filter(|(kind, _)| kinds.contains(*kind)).map(|(_, name)| *name).collect();
    if named.is_empty() { "something unknown".to_owned() } else { named.join(" or ") }
}

/// A field of the context in words.
fn field(kind: ProgramType, offset: i16) -> String {
    const XDP: [&str; 6] =
        ["data", "data_end", "data_meta", "ingress_ifindex", "rx_queue_index", "egress_ifindex"];
    let name = usize::try_from(offset / 4).ok().and_then(|index| XDP.get(index));
    match (kind, name) {
        (ProgramType::Xdp, Some(name)) => format!("the context's {name}"),
        _ => format!("the context at offset {offset}"),
    }
}
