//! The rules that a profile may have.

use serde::{Deserialize, Serialize};

/// Where the kernel's source has a rule, and what it says when the rule is broken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Citation {
    /// File and function.
    pub source: String,
    /// What the driver or the kernel writes, as its format strings have it; empty where it says
    /// nothing.
    #[serde(default)]
    pub texts: Vec<String>,
}

impl Citation {
    /// A place and what is written there.
    #[must_use]
    pub fn new(source: &str, texts: &[&str]) -> Self {
        Self { source: source.to_owned(), texts: texts.iter().map(|t| (*t).to_owned()).collect() }
    }
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $title:literal, $remedy:literal;)*) => {
        /// One thing that a card or its driver asks of a program.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Rule {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl Rule {
            /// Every rule, in the order in which they are reported.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code of its gaps, documented in docs/refusals.md.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What the rule is, in half a sentence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What closes its gaps.
            #[must_use]
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

rules! {
    /// Only XDP programs and classifiers that are attached to interfaces.
    ProgramType = "card-program-type", "the card takes XDP programs of interfaces and classifiers",
        "attach it on the host: hoist run --engine native,generic";
    /// No multi-buffer frames.
    Frags = "card-frags", "an offloaded program may not declare multi-buffer frames",
        "build the program for SEC(\"xdp\")";
    /// The instruction set.
    Opcode = "card-instruction", "the card lacks an instruction",
        "build with -mcpu=v2, or write the expression without it";
    /// Instructions that share their code with another, which the card executes instead.
    Misread = "card-misreads-instruction", "the driver takes an instruction for another one",
        "build with -mcpu=v2";
    /// Stores of constants.
    StoreConstant = "card-store-constant", "the card stores registers only",
        "build with -mcpu=v3 or lower";
    /// Jumps backwards.
    Loop = "card-loop", "the driver was never made for loops",
        "unroll it: #pragma clang loop unroll(full)";
    /// The helpers that the driver knows.
    Helper = "card-helper", "the card lacks a helper",
        "write the program without the helper";
    /// Kernel functions.
    Kfunc = "card-kfunc", "kernel functions do not run on a card",
        "write the program without the kernel function";
    /// An ability that the firmware may lack.
    Firmware = "card-firmware", "the firmware lacks an ability",
        "load another firmware, or say with --parameter that it has it";
    /// Arguments of map helpers.
    HelperArgument = "card-helper-argument",
        "keys and values are passed on the stack, four-byte aligned, at an offset that is known",
        "copy the key or value to a variable of its own on the stack";
    /// Flags of `bpf_perf_event_output`.
    EventFlags = "card-event-flags", "events go to the current CPU",
        "pass BPF_F_CURRENT_CPU";
    /// Fields of the context that are read.
    ContextRead = "card-context-field", "the card lacks this field of the context",
        "write the program without the field";
    /// Stores to the context.
    ContextStore = "card-context-store", "the card takes no store to this field of the context",
        "write the program without the store";
    /// Operands of multiplications.
    MultiplyRange = "card-multiply-range", "operands of a multiplication must be known to fit 32 bits",
        "mask the operands (x & 0xffffffff), or compute in 32 bits";
    /// Operands of divisions.
    DivideRange = "card-divide-range",
        "a division is by a constant, and both operands must be known to fit 32 bits",
        "divide by a constant, or shift; mask the dividend (x & 0xffffffff)";
    /// Offsets on the stack.
    StackOffset = "card-stack-offset", "stack accesses must be at an offset that is known",
        "index with constants: unroll the loop";
    /// What memory is accessed through.
    Pointer = "card-pointer", "the card accesses the context, the stack, map values and the packet",
        "access the memory through another pointer";
    /// One instruction, one kind of memory.
    PointerChanges = "card-pointer-changes", "one instruction must access one kind of memory",
        "write the access once for each kind of memory";
    /// Stores to map values.
    MapStore = "card-map-store", "the card takes no store to a map's value",
        "add with __sync_fetch_and_add, or write the whole value with bpf_map_update_elem";
    /// Offsets in map values.
    MapOffset = "card-map-offset", "offsets in a map's value must be known",
        "index with constants, or give each index an entry of its own";
    /// Words of map values are read or added to, not both.
    MapWord = "card-map-word", "a word of a map's value is read or added to, not both",
        "keep what is read and what is counted in different words";
    /// Counters begin at zero.
    Counter = "card-counter-not-zero", "a counter must be created with the value 0",
        "create the entry with a zero, look it up again, then add";
    /// Atomic instructions.
    Atomic = "card-atomic", "the only atomic instruction is an addition to a map's value",
        "use __sync_fetch_and_add without its result, on a map's value";
    /// Verdicts.
    Verdict = "card-verdict", "the card knows the verdicts aborted, drop, pass and tx",
        "return XDP_DROP, XDP_PASS or XDP_TX";
    /// Verdicts of classifiers.
    ClassifierVerdict = "card-classifier-verdict",
        "a classifier returns constants: TC_ACT_SHOT, TC_ACT_STOLEN, TC_ACT_QUEUED or TC_ACT_UNSPEC",
        "return TC_ACT_UNSPEC to pass a frame, TC_ACT_SHOT to drop it";
    /// Types of maps.
    MapType = "card-map-type", "the card lacks a map type",
        "use a hash or an array";
    /// Flags of maps.
    MapFlags = "card-map-flags", "the card takes no map flags",
        "create the map without flags";
    /// Global variables.
    GlobalData = "card-global-data", "global variables have no place on the card",
        "keep the values in an array of one entry, and strings out of the program";
    /// Number of maps.
    MapCount = "card-map-count", "the card holds a number of maps", "use fewer maps";
    /// Entries of maps.
    MapEntries = "card-map-entries", "the card holds a number of map entries",
        "make the map smaller: --max-entries MAP=N";
    /// Sizes of keys and values.
    ElementSize = "card-element-size", "the card holds keys and values up to a size",
        "split the value over several maps";
    /// The stack.
    Stack = "card-stack", "the firmware has a stack of a fixed size",
        "use fewer variables and flatter calls";
    /// The program's length.
    Length = "card-program-length", "the firmware takes a number of instructions",
        "make the program smaller";
    /// How much of a frame the program sees.
    PacketSplit = "card-packet-split", "the card shows the first bytes of a frame only",
        "read nearer to the start of the frame, or lower the device's MTU";
    /// Hardening of constants.
    Hardening = "card-jit-hardening", "hardened code uses a register that the card lacks",
        "sysctl net.core.bpf_jit_harden=0 while the program is loaded";
    /// Code that cannot be reached.
    DeadCode = "card-dead-code", "code that is never reached could not be removed",
        "build without the dead code";
    /// Translation in the driver.
    Translation = "card-translation", "the driver could not translate the program",
        "hoist lint names the instruction; dmesg has the driver's words";
    /// Replacing a program.
    LiveReload = "card-live-reload", "the firmware cannot replace a running program",
        "detach the program first";
    /// The firmware refused.
    FirmwareFailed = "card-firmware-failed", "the firmware failed a command",
        "dmesg has the driver's words; load the firmware again";
    /// The slot is held.
    Busy = "card-busy", "the card runs another program", "detach the other program first";
    /// The filter.
    Filter = "card-filter", "the card takes one direct-action filter for all protocols on chain 0",
        "tc filter add dev DEV ingress protocol all prio 1 bpf direct-action";
    /// Which device a program was loaded for.
    BoundElsewhere = "card-bound-elsewhere", "the program or map was loaded for another device",
        "load it again for this device";
    /// A knob of the simulator.
    Simulated = "card-simulated-refusal", "the simulated NIC was told to refuse",
        "set the knob under /sys/kernel/debug/netdevsim to Y";
}
