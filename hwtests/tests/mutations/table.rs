//! The mutations.

use hoist_bpf::module::{Function, FunctionId, Inst, Module, ProgramId, Target};
use hoist_bpf::passes::asm;

use super::edit::{By, Edit, MAIN, Mutation, gives, helper, imm, instead, never, nothing};

/// 32-bit load.
const LOAD: u8 = 0x61;
/// 64-bit comparisons with a constant and with a register: unequal.
const JNE: u8 = 0x55;
const JNE_REG: u8 = 0x5d;
/// 32-bit comparison with a constant: equal.
const JEQ32: u8 = 0x16;
/// 32-bit and 64-bit moves of a constant.
const MOV32: u8 = 0xb4;
const MOV: u8 = 0xb7;
/// 64-bit shift to the left.
const SHIFT: u8 = 0x67;
const AND: u8 = 0x57;
const AND32: u8 = 0x54;

/// The programs that its tests try first.
const FUZZER: By = By::Fuzzer(9, 0);

/// In these functions, at these lines.
const fn at(
    name: &'static str,
    function: &'static str,
    line: &'static str,
    caught: By,
    change: fn(&mut Inst, &str) -> bool,
) -> Mutation {
    Mutation { name, edit: Edit::Insns { function, line, change }, caught }
}

const fn suite(file: &'static str, case: &'static str) -> By {
    By::Suite(file, case)
}

const HEAD: &str = "hoist_adjust_head";
const TAIL: &str = "hoist_adjust_tail";

/// The program's own code: context fields, helpers.
pub(crate) const PROGRAM: [Mutation; 4] = [
    at(
        "the end of the data is read from where its start is",
        "xdp_",
        "",
        By::SuiteByRefusal("vlan_pop", "a tag in front of UDP"),
        |i, _| load(i, 80, 76),
    ),
    at("the interface is the one that the buffer came from", "", "", FUZZER, |i, _| {
        load(i, 40, 36)
    }),
    at(
        "the length of the frame is another field",
        "xdp_",
        "",
        suite("ranges", "within the frame"),
        |i, _| (i.insn.dst(), i.insn.src()) == (0, 1) && load(i, 0, 4),
    ),
    Mutation {
        name: "targets of tail calls get an epilogue of their own",
        edit: Edit::Module(wrap_targets),
        caught: suite("tail_call", "IPv4 is counted"),
    },
];

/// What comes before the program.
pub(crate) const PROLOGUE: [Mutation; 2] = [
    at(
        "the frame is not made linear",
        MAIN,
        "",
        suite("context_jumbo", "at TC all of a frame"),
        |i, called| called == "make_linear" && gives(i, 0),
    ),
    at(
        "the VLAN tag is not put back",
        MAIN,
        "bpf_skb_vlan_push",
        suite("vlan_pop", "a tag in front of UDP"),
        |i, _| helper(i, 18) && gives(i, 0),
    ),
];

/// What comes after it.
pub(crate) const EPILOGUE: [Mutation; 13] = [
    at(
        "PASS is TC_ACT_OK",
        MAIN,
        "",
        suite("onlookers", "a capture shows what was passed"),
        |i, _| i.insn.code == MOV32 && imm(i, -1, 0),
    ),
    at("DROP is TC_ACT_RECLASSIFY", MAIN, "", suite("drop", "no socket hears of it"), |i, _| {
        i.insn.code == MOV32 && !(1..=5).contains(&i.insn.dst()) && imm(i, 2, 1)
    }),
    at(
        "unknown codes pass",
        MAIN,
        "note(EVENT_INVALID_CODE)",
        suite("verdict", "7 is unknown"),
        |i, _| i.insn.code == MOV && imm(i, 0, 2),
    ),
    at(
        "what was changed is not settled",
        MAIN,
        "",
        suite("rewrite", "IPv4 becomes something else"),
        |i, called| called == "settle" && gives(i, -1),
    ),
    at(
        "the dummy tag stays in what goes back unread",
        MAIN,
        "bpf_skb_vlan_pop",
        suite("verdict", "3 transmits"),
        |i, _| helper(i, 19) && gives(i, 0),
    ),
    at(
        "the dummy tag stays in what goes back",
        MAIN,
        "",
        suite("swap_tx", "every frame comes back"),
        |i, called| called == "refresh" && gives(i, 0),
    ),
    at(
        "the protocol is not brought in line",
        "settle",
        "RARELY(PROTOCOL(header)",
        suite("rewrite", "IPv4 becomes something else"),
        |i, _| i.insn.code == JNE_REG && never(i),
    ),
    at(
        "the packet type is not brought in line",
        "settle",
        "",
        suite("rewrite", "ours becomes for somebody else"),
        |i, _| helper(i, 32) && gives(i, 0),
    ),
    at(
        "the own address is compared without its first byte",
        "settle",
        "DESTINATION(own) == destination",
        suite("rewrite_ours", "for a group becomes ours"),
        |i, _| i.insn.code == SHIFT && imm(i, 16, 24),
    ),
    at(
        "everybody is a group",
        "settle",
        "PACKET_BROADCAST : PACKET_MULTICAST",
        suite("rewrite", "ours becomes for everybody"),
        |i, _| imm(i, -65536, -1),
    ),
    at(
        "verdicts are counted as aborted",
        MAIN,
        "bpf_map_lookup_elem",
        suite("verdict", "1 drops"),
        |i, _| i.insn.code == SHIFT && i.insn.imm == 2 && instead(i, asm::mov_imm(1, 0)),
    ),
    at("a verdict counts no bytes", MAIN, "counter->bytes += len", FUZZER, |i, _| {
        i.insn.code == 0x0f && nothing(i)
    }),
    at(
        "what the program wanted before outlives the frame",
        MAIN,
        "if (verdict != XDP_REDIRECT)",
        FUZZER,
        |i, _| i.insn.code == MOV32 && imm(i, 0, 1),
    ),
];

/// `bpf_xdp_adjust_head` and `_tail`.
pub(crate) const RESIZE: [Mutation; 11] = [
    at(
        "an Ethernet header is one byte longer",
        HEAD,
        "skb->len < by + ETH_HLEN",
        suite("head", "down to an Ethernet header"),
        |i, _| imm(i, 14, 15),
    ),
    at(
        "the headroom is what the socket buffer has",
        HEAD,
        "> HEADROOM",
        suite("head", "more than what is left"),
        |i, _| imm(i, 216, 2000),
    ),
    at("the headroom is one byte more", HEAD, "> HEADROOM", By::Fuzzer(9, 185), |i, _| {
        imm(i, 216, 217)
    }),
    at(
        "moving the start up gives no headroom",
        HEAD,
        "skb->cb[2] -= by",
        By::Fuzzer(1, 2780),
        |i, _| i.insn.code == 0x1c && nothing(i),
    ),
    at("the addresses are not put in place again", HEAD, "", FUZZER, |i, _| {
        i.insn.code == 0x7b && i.insn.off == 0 && nothing(i)
    }),
    at("the type is not put in place again", HEAD, "", FUZZER, |i, _| {
        i.insn.code == 0x6b && i.insn.off == 12 && i.insn.src() == 8 && nothing(i)
    }),
    at(
        "short rests are cut like long ones",
        HEAD,
        "RARELY(rest, \"<\", IP_LEAST",
        suite("head", "twenty bytes less, leaving"),
        |i, _| imm(i, 20, 0),
    ),
    at(
        "what the end lent is not taken off",
        "cut_short",
        "ETH_HLEN + rest",
        suite("head", "twenty bytes less, leaving"),
        |i, _| helper(i, 38) && gives(i, 0),
    ),
    at(
        "a frame cannot be cut to an Ethernet header",
        TAIL,
        "len < ETH_HLEN",
        suite("tail", "down to an Ethernet header"),
        |i, _| imm(i, 14, 15),
    ),
    at(
        "a frame cannot grow at its end",
        TAIL,
        "PAGE_ROOM",
        suite("tail", "one byte more is 0"),
        |i, _| imm(i, 3520, 100),
    ),
    at(
        "what could not be cut was cut",
        TAIL,
        "bpf_skb_change_tail",
        suite("tail", "into the headers"),
        |i, _| i.insn.code == MOV && imm(i, -22, 0),
    ),
];

/// The other helpers.
pub(crate) const HELPERS: [Mutation; 5] = [
    at(
        "reading beyond the frame is another error",
        "hoist_load_bytes",
        "offset + len > skb->len",
        suite("ranges", "one byte beyond it"),
        |i, _| imm(i, -22, -14),
    ),
    at(
        "reading beyond what any frame has is another error",
        "hoist_load_bytes",
        "LONGEST",
        suite("ranges", "beyond what any frame has"),
        |i, _| imm(i, -14, -22),
    ),
    at(
        "the last byte cannot be read",
        "hoist_load_bytes",
        "offset + len > skb->len",
        suite("ranges", "up to its last byte"),
        |i, _| {
            let fits = i.insn.code == 0x2e;
            if fits {
                i.insn.code = 0x3e;
            }
            fits
        },
    ),
    at(
        "writing has no effect",
        "hoist_store_bytes",
        "",
        suite("ranges", "up to its last byte"),
        |i, _| helper(i, 9) && gives(i, 0),
    ),
    at(
        "a lookup without a length leaves one",
        "hoist_fib_lookup",
        "params->tot_len = 0",
        suite("lookups", "no route, and nobody listens"),
        |i, _| i.insn.code == 0x6b && nothing(i),
    ),
];

/// Redirects.
pub(crate) const REDIRECT: [Mutation; 11] = [
    at(
        "the MTU of the target is not asked for",
        MAIN,
        "bpf_check_mtu",
        suite("redirect_small_mtu", "what is longer"),
        |i, _| helper(i, 163) && gives(i, 0),
    ),
    at(
        "there is no room for a tag beyond the MTU",
        MAIN,
        "VLAN_HLEN",
        By::Fuzzer(9, 40),
        |i, _| i.insn.code == MOV32 && imm(i, -4, 0),
    ),
    at(
        "a tag beside the data gives room beyond the MTU",
        MAIN,
        "VLAN_HLEN",
        suite("redirect_small_mtu", "what is longer"),
        |i, _| i.insn.code == MOV32 && imm(i, 0, -4),
    ),
    at(
        "bpf_redirect takes flags",
        "hoist_redirect",
        "if (flags || !to)",
        suite("redirects", "flags that do not exist abort"),
        |i, _| i.insn.code == JNE && nothing(i),
    ),
    at(
        "bpf_redirect_map takes flags",
        "hoist_redirect_devmap",
        "BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS",
        suite("redirects", "flags that no map knows abort"),
        |i, _| i.insn.code == JNE && nothing(i),
    ),
    at(
        "a miss aborts or drops",
        "hoist_redirect_devmap",
        "return flags & MISS",
        suite("redirects", "no entry: the flags say pass"),
        |i, _| i.insn.code == AND && imm(i, 3, 1),
    ),
    at(
        "a miss leaves the target of an earlier call",
        "hoist_redirect_devmap",
        "to->target = TARGET_NONE",
        By::Fuzzer(9, 122),
        |i, _| i.insn.code == 0x63 && nothing(i),
    ),
    at(
        "a copy goes where the frame came from",
        "hoist_broadcast_devmap",
        "BPF_F_EXCLUDE_INGRESS",
        suite("broadcast", "but not where it came from"),
        |i, _| i.insn.code == AND32 && imm(i, 16, 0),
    ),
    at(
        "copies go to the first entry only",
        "send_copy",
        "",
        suite("broadcast", "to every port"),
        |i, _| i.insn.code == MOV && i.insn.dst() == 0 && imm(i, 0, 1),
    ),
    at(
        "an empty slot of a CPUMAP is a CPU",
        "hoist_redirect_cpumap",
        "!entry->queue_size",
        suite("cpumap", "without an entry"),
        |i, _| i.insn.code == JEQ32 && imm(i, 0, -1),
    ),
    at(
        "a frame for a CPU is lost",
        "divert_",
        "if (target == TARGET_NONE)",
        suite("cpumap", "it reaches the stack"),
        |i, _| imm(i, 3, 9),
    ),
];

fn load(inst: &mut Inst, from: i16, to: i16) -> bool {
    let fits = inst.insn.code == LOAD && inst.insn.off == from;
    if fits {
        inst.insn.off = to;
    }
    fits
}

/// Enters what the slots of program arrays hold by a copy of the main program.
fn wrap_targets(module: &mut Module, program: ProgramId) -> bool {
    let main = module.function(module.program(program).function).clone();
    let is_old = |f: &Function| f.name == module.program(program).name;
    let old = module.functions.iter().position(is_old).map(|at| FunctionId(at as u32));
    let Some(old) = old else { return false };
    let mut wrapped = 0;
    for map in 0..module.maps.len() {
        for slot in 0..module.maps[map].initial.len() {
            let Target::FunctionAddress(target) = module.maps[map].initial[slot].value else {
                continue;
            };
            let mut wrapper = main.clone();
            for inst in &mut wrapper.code {
                if matches!(inst.target, Target::Call(id) if id == old) {
                    inst.target = Target::Call(target);
                    wrapped += 1;
                }
            }
            let wrapper = module.add_function(wrapper);
            module.maps[map].initial[slot].value = Target::FunctionAddress(wrapper);
            for program in module.programs.iter_mut().filter(|p| p.function == target) {
                program.function = wrapper;
            }
        }
    }
    wrapped > 0
}
