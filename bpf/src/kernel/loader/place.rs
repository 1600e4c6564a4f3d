//! Where in the source the verifier stopped.

use crate::image::Image;
use crate::kernel::KernelError;
use crate::module::{Module, SourceLine};

/// The instruction a verifier's log ends at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Function and slot from its start, for example `xdp_main+17`.
    pub insn: String,
    /// Its source line, where the object has line information.
    pub line: Option<SourceLine>,
}

impl Place {
    /// Reads the log in `error`; `None` when the kernel refused before looking at instructions.
    #[must_use]
    pub fn of(error: &KernelError, module: &Module, image: &Image) -> Option<Self> {
        let insn = last_insn(error.log.as_deref()?)?;
        let &(id, start) = image.functions.iter().rev().find(|&&(_, start)| start <= insn)?;
        let function = module.function(id);
        let mut slot = start;
        let mut line = None;
        for inst in &function.code {
            if slot > insn {
                break;
            }
            line = inst.line.or(line);
            slot += inst.slots();
        }
        Some(Self {
            insn: format!("{}+{}", function.name, insn - start),
            line: line.and_then(|at| module.lines.get(at as usize)).cloned(),
        })
    }
}

/// The last instruction the log shows, as a slot in the image: lines such as `17: (85) call ...`.
fn last_insn(log: &str) -> Option<usize> {
    log.lines().rev().find_map(|line| {
        let (number, rest) = line.trim_start().split_once(": ")?;
        rest.starts_with('(').then(|| number.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_instruction_is_the_one_the_verifier_stopped_at() {
        let log = "0: R1=ctx() R10=fp0\n; int x = *p; @ a.c:3\n0: (61) r2 = *(u32 *)(r1 +0)\n\
                   17: (71) r0 = *(u8 *)(r2 +0)\ninvalid access to packet, off=0 size=1\n\
                   R2 offset is outside of the packet\nprocessed 2 insns (limit 1000000)\n";
        assert_eq!(last_insn(log), Some(17));
        assert_eq!(last_insn("func 'x' arg0 has no type\nprocessed 0 insns"), None);
    }
}
