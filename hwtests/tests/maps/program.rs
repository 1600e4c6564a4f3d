//! Small programs that do one operation on the kernel's map: key, value and flags come in a frame,
//! the result goes back in it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use hoist_bpf::Insn;
use hoist_bpf::kernel::{Kernel as _, Linux, ProgramSpec, TestRunSpec};
use hoist_bpf::module::Map;

use crate::both::{Action, Outcome};

const BPF_PROG_TYPE_XDP: u32 = 6;
const ENOENT: i32 = 2;
/// Where things are in the frame: flags, result, key, value.
const FLAGS: i16 = 0;
const RESULT: i16 = 8;
const KEY: i16 = 16;

/// `enum bpf_func_id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Helper {
    Lookup = 1,
    Update = 2,
    Delete = 3,
    Push = 87,
    Pop = 88,
    Peek = 89,
}

/// The programs for one map, loaded when they are first used.
pub(crate) struct Programs {
    map: i32,
    key: usize,
    value: usize,
    loaded: RefCell<BTreeMap<Helper, OwnedFd>>,
}

impl Programs {
    pub(crate) fn new(_linux: &Linux, map: &OwnedFd, def: &Map) -> Self {
        let (key, value) = (def.key_size as usize, def.value_size as usize);
        Self { map: map.as_raw_fd(), key, value, loaded: RefCell::default() }
    }

    /// Where the value is in the frame.
    const fn value_at(&self) -> usize {
        KEY as usize + self.key.next_multiple_of(8)
    }

    /// Runs the program for an action.
    pub(crate) fn run(&self, linux: &Linux, action: &Action) -> Outcome {
        let none = Vec::new();
        let (helper, key, value, flags) = match action {
            Action::ProgramLookup(key) => (Helper::Lookup, key, &none, 0),
            Action::ProgramUpdate(key, value, flags) => (Helper::Update, key, value, *flags),
            Action::ProgramDelete(key) => (Helper::Delete, key, &none, 0),
            Action::Push(value, flags) => (Helper::Push, &none, value, *flags),
            Action::Pop => (Helper::Pop, &none, &none, 0),
            Action::Peek => (Helper::Peek, &none, &none, 0),
            other => panic!("{other:?} is not for a program"),
        };
        let mut loaded = self.loaded.borrow_mut();
        let program = loaded.entry(helper).or_insert_with(|| {
            let insns = self.code(helper);
            let spec = ProgramSpec {
                name: "map_operation".to_owned(),
                kind: BPF_PROG_TYPE_XDP,
                expected_attach_type: 37,
                insns: &insns,
                license: "GPL".to_owned(),
                ..ProgramSpec::default()
            };
            linux.load_program(&spec).unwrap()
        });
        let at = self.value_at();
        let mut frame = vec![0xaa; at + self.value.next_multiple_of(8)];
        frame[..8].copy_from_slice(&flags.to_ne_bytes());
        frame[KEY as usize..KEY as usize + key.len()].copy_from_slice(key);
        frame[at..at + value.len()].copy_from_slice(value);
        let spec = TestRunSpec { data: &frame, repeat: 1, ..TestRunSpec::default() };
        let ran = linux.test_run(program.as_fd(), &spec).unwrap();
        assert_eq!(ran.verdict, 2, "the frame was too short for the program");
        let result = i64::from_ne_bytes(ran.data[8..16].try_into().unwrap());
        let read = ran.data[at..at + self.value].to_vec();
        match helper {
            Helper::Lookup if result == 0 => (ENOENT, Vec::new()),
            Helper::Lookup => (0, read),
            Helper::Pop | Helper::Peek => (-result as i32, read),
            _ => (-result as i32, Vec::new()),
        }
    }

    /// The program: `r6` is the frame, `r0` of the helper becomes the result.
    fn code(&self, helper: Helper) -> Vec<Insn> {
        let at = self.value_at() as i32;
        let whole = at + self.value.next_multiple_of(8) as i32;
        let insn = Insn::new;
        let mut body = vec![
            // r1 = map
            insn(0x18, 1, 1, 0, self.map),
            insn(0, 0, 0, 0, 0),
        ];
        let key_in = [insn(0xbf, 2, 6, 0, 0), insn(0x07, 2, 0, 0, i32::from(KEY))];
        let value_in = |register| [insn(0xbf, register, 6, 0, 0), insn(0x07, register, 0, 0, at)];
        match helper {
            Helper::Lookup | Helper::Delete => body.extend(key_in),
            Helper::Update => {
                body.extend(key_in);
                body.extend(value_in(3));
                body.push(insn(0x79, 4, 6, FLAGS, 0));
            }
            Helper::Push => {
                body.extend(value_in(2));
                body.push(insn(0x79, 3, 6, FLAGS, 0));
            }
            Helper::Pop | Helper::Peek => {
                // Helpers write to the stack only.
                body.push(insn(0xbf, 2, 10, 0, 0));
                body.push(insn(0x07, 2, 0, 0, -(self.value.next_multiple_of(8) as i32)));
            }
        }
        body.push(insn(0x85, 0, 0, 0, helper as i32));
        match helper {
            Helper::Lookup => {
                let mut copy = Vec::new();
                for byte in 0..self.value as i16 {
                    copy.push(insn(0x71, 1, 0, byte, 0));
                    copy.push(insn(0x73, 6, 1, at as i16 + byte, 0));
                }
                copy.push(insn(0xb7, 0, 0, 0, 1));
                body.push(insn(0x15, 0, 0, copy.len() as i16, 0));
                body.extend(copy);
            }
            Helper::Pop | Helper::Peek => {
                let base = -(self.value.next_multiple_of(8) as i16);
                for byte in 0..self.value as i16 {
                    body.push(insn(0x71, 1, 10, base + byte, 0));
                    body.push(insn(0x73, 6, 1, at as i16 + byte, 0));
                }
            }
            _ => {}
        }
        body.push(insn(0x7b, 6, 0, RESULT, 0));
        body.push(insn(0xb7, 0, 0, 0, 2));
        body.push(insn(0x95, 0, 0, 0, 0));
        let mut code = vec![
            // r6 = data, r2 = data_end
            insn(0x61, 6, 1, 0, 0),
            insn(0x61, 2, 1, 4, 0),
            insn(0xbf, 3, 6, 0, 0),
            insn(0x07, 3, 0, 0, whole),
            insn(0xb7, 0, 0, 0, 0),
            // if data + whole <= data_end goto body
            insn(0xbd, 3, 2, 1, 0),
            insn(0x95, 0, 0, 0, 0),
        ];
        code.extend(body);
        code
    }
}
