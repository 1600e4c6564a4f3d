//! Takes an object as far as it goes: parse, resolve, analyse, lay out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hoist_bpf::image::Image;
use hoist_bpf::module::{Module, ProgramId};
use hoist_bpf::resolve::{self, KernelConfig, TargetBtf};
use hoist_bpf::{Selector, analysis, passes};

/// How far an object went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reached {
    /// Refused by the parser.
    Nothing,
    /// Parsed, but not fit for the kernel given.
    Parsed,
    /// Every program was looked at.
    Laid,
}

/// Most programs of one object that are looked at.
const PROGRAMS: usize = 6;

/// Runs everything that reads an object before the kernel does. Must return, whatever the bytes.
pub(crate) fn exercise(bytes: &[u8], target: &TargetBtf) -> Reached {
    let mut text = String::new();
    let module = match Module::parse("object", bytes) {
        Ok(module) => module,
        Err(error) => {
            // Messages are part of what must not fail.
            let _ = write!(text, "{error}");
            return Reached::Nothing;
        }
    };
    if let Err(error) = module.select(&Selector::default()) {
        let _ = write!(text, "{error}");
    }
    let mut fitted = match resolve::resolve(&module, target) {
        Ok(fitted) => fitted,
        Err(error) => {
            let _ = write!(text, "{error}");
            return Reached::Parsed;
        }
    };
    drop(module);
    let config = KernelConfig::parse("CONFIG_HZ=250\nCONFIG_VETH=m\n", "6.1.0");
    let _ = resolve::fill_kconfig(&mut fitted, &config);
    let _ = resolve::set_symbol_addresses(&mut fitted, &BTreeMap::new());
    for index in 0..fitted.programs.len().min(PROGRAMS) {
        let program = ProgramId(index as u32);
        let _ = analysis::requirements(&fitted, program);
        let _ = analysis::places(&fitted, program);
        let _ = Image::build(&fitted, program);
        if let Ok(counted) = passes::count::apply(&fitted, program) {
            let _ = Image::build(&counted.module, counted.program);
        }
    }
    Reached::Laid
}
