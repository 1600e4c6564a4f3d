//! Hostile code: no panic, at most 256 MiB, and two seconds where the build is optimised.
#![expect(unsafe_code, reason = "a global allocator that counts is unsafe by its trait")]

mod cases;
#[path = "../../../bpf/tests/fuzz/memory.rs"]
mod memory;

use std::time::{Duration, Instant};

use hoist_bpf::image::Image;
use hoist_bpf::module::ProgramId;
use hoist_fallback::tc::translate::{Options, translate};

#[global_allocator]
static MEMORY: memory::Counting = memory::Counting::new();

const MOST_BYTES: usize = 256 << 20;
/// Without optimisation, on a machine with other work, everything takes ten times as long.
const MOST_TIME: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 2 });

#[test]
fn hostile_code_costs_little() {
    for (name, module, expected) in cases::all() {
        MEMORY.start();
        let started = Instant::now();
        let result = translate(&module, ProgramId(0), &Options::default());
        let (took, bytes) = (started.elapsed(), MEMORY.peak());
        println!("{name}: {took:.1?}, {} KiB", bytes >> 10);
        let code = result.as_ref().err().and_then(|gaps| gaps.first()).map(|gap| gap.code.as_str());
        assert_eq!(code, expected, "{name}");
        assert!(took < MOST_TIME && bytes < MOST_BYTES, "{name}: {took:?}, {bytes} bytes");
        match result {
            // Laying it out may fail, in words.
            Ok(t) => drop(Image::build(&t.module, t.program).map_err(|e| e.to_string())),
            Err(gaps) => assert!(gaps.len() <= 201, "{name}: {} gaps", gaps.len()),
        }
    }
}
