//! What is run, and on which frame.

use hoist_bpf::Module;
use hoist_bpf::module::ProgramId;
use hoist_bpf::parse::Selector;
use hoist_offload::Verdict;

/// One program with what it gets.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) object: Vec<u8>,
    pub(crate) frame: Vec<u8>,
    /// Entries of the map `flows`: key and value.
    pub(crate) flows: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) verdict: Verdict,
    /// Whether runs use up the frame's time to live, which is then put back.
    pub(crate) forwards: bool,
}

/// Where the time to live is in the frame.
pub(crate) const TTL: usize = 22;

impl Program {
    pub(crate) fn module(&self) -> (Module, ProgramId) {
        let module = Module::parse(self.name, &self.object).expect("an object of ours");
        let selector = Selector { program: None, section: None };
        let program = module.select(&selector).expect("one program");
        (module, program)
    }
}

/// UDP over IPv4 with an empty body, 60 bytes.
fn frame() -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
    frame[12..14].copy_from_slice(&[0x08, 0x00]);
    frame[14] = 0x45;
    // No stage of the large program ends here.
    frame[15] = 0xfc;
    frame[17] = 46;
    frame[TTL] = 64;
    frame[23] = 17;
    frame[26..30].copy_from_slice(&[192, 0, 2, 1]);
    frame[30..34].copy_from_slice(&[198, 51, 100, 1]);
    frame[34..38].copy_from_slice(&[0x30, 0x39, 0x00, 0x35]);
    frame[39] = 26;
    frame
}

/// The key that the parser makes of [`frame`].
fn flow() -> Vec<u8> {
    let mut key = frame()[26..38].to_vec();
    key.extend(17_u32.to_ne_bytes());
    key
}

fn program(name: &'static str, object: &[u8], verdict: Verdict) -> Program {
    let object = object.to_vec();
    Program { name, object, frame: frame(), flows: Vec::new(), verdict, forwards: false }
}

/// All programs, the least first.
pub(crate) fn all() -> Vec<Program> {
    let trivial =
        program("trivial", include_bytes!("../../bpf/prebuilt/drop.bpf.o"), Verdict::Drop);
    let forwarder = program("forwarder", include_bytes!("../objects/forwarder.bpf.o"), Verdict::Tx);
    let checksum = program("checksum", include_bytes!("../objects/checksum.bpf.o"), Verdict::Drop);
    let hash_parser =
        program("hash-parser", include_bytes!("../objects/hash_parser.bpf.o"), Verdict::Drop);
    let counters = program("counters", include_bytes!("../objects/counters.bpf.o"), Verdict::Drop);
    let large = program("large", include_bytes!("../objects/large.bpf.o"), Verdict::Pass);
    vec![
        trivial,
        Program { forwards: true, ..forwarder },
        checksum,
        Program { flows: vec![(flow(), vec![0; 8])], ..hash_parser },
        counters,
        large,
    ]
}
