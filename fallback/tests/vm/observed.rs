//! What an observer is told.

use std::ops::ControlFlow;

use hoist_bpf::passes::asm;
use hoist_fallback::userspace::vm::code::Op;
use hoist_fallback::userspace::vm::fault::FaultKind;
use hoist_fallback::userspace::vm::observer::Registers;
use hoist_fallback::userspace::vm::{Arrival, Frame, Observer, Options, Place, Running};

use crate::machine::{machine, module, plain};

#[derive(Default)]
struct Notes {
    steps: Vec<(u32, u64)>,
    read: Vec<(u64, u64, u64)>,
    wrote: Vec<(u64, u64, u64)>,
    fault: Option<(u32, &'static str)>,
    stop_at: Option<u32>,
}

impl Observer for Notes {
    fn before(
        &mut self,
        at: Place,
        _op: &Op,
        registers: &Registers,
        _run: &Running<'_>,
    ) -> ControlFlow<()> {
        self.steps.push((at.op, registers[7]));
        if self.stop_at == Some(at.op) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn read(&mut self, _at: Place, address: u64, size: u64, value: u64) {
        self.read.push((address, size, value));
    }

    fn wrote(&mut self, _at: Place, _address: u64, size: u64, before: u64, value: u64) {
        self.wrote.push((size, before, value));
    }

    fn fault(&mut self, at: Place, kind: &FaultKind) {
        self.fault = Some((at.op, kind.code()));
    }
}

fn observe(notes: &mut Notes) -> u64 {
    // Sequences that the interpreter otherwise runs in one step are told one by one.
    let code = vec![
        plain(asm::load32(6, 1, 0)),
        plain(asm::mov(7, 6)),
        plain(asm::add_imm(7, 4)),
        plain(asm::load32(8, 7, 0)),
        plain(asm::store64(6, 0, 8)),
        plain(asm::load64(0, 6, 60)),
        plain(asm::exit()),
    ];
    let module = module(vec![code], Vec::new());
    let mut buffer = vec![7_u8; 256 + 64];
    let mut frame = Frame::new(&mut buffer, 64);
    let mut machine = machine(&module, &Options::default());
    machine.observe(&mut frame, &Arrival::default(), notes).code
}

#[test]
fn every_step_and_every_access_is_told() {
    let mut notes = Notes::default();
    observe(&mut notes);
    let start = 0x1000_0100;
    let sevens = 0x0707_0707_0707_0707;
    assert_eq!(
        notes.steps,
        [(0, 0), (1, 0), (2, start), (3, start + 4), (4, start + 4), (5, start + 4)]
    );
    assert_eq!(notes.read, [(2 << 48, 4, start), (start + 4, 4, 0x0707_0707)]);
    assert_eq!(notes.wrote, [(8, sevens, 0x0707_0707)]);
    assert_eq!(notes.fault, Some((5, "out-of-bounds")));
}

#[test]
fn an_observer_ends_the_run() {
    let mut notes = Notes { stop_at: Some(2), ..Notes::default() };
    observe(&mut notes);
    assert_eq!((notes.steps.len(), notes.fault), (3, Some((2, "stopped"))));
}
