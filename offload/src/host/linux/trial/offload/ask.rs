//! Many questions in one load: pieces of code, each a question, in one program.
//!
//! A program that loads answers all its questions. A refusal names a helper, or is repeated with the
//! verifier's listing, whose last instruction names the piece; where nothing does (a driver that fails to
//! translate says nothing), the pieces are halved. So a device that takes everything costs one load, and
//! each refusal one or two more.

use hoist_bpf::insn::Insn;
use hoist_bpf::kernel::KernelError;

use super::super::{EXIT, Findings, yes};
use super::card::{Card, Log};
use super::judge::{Said, judge, said};
use crate::host::report::Finding;

/// One question: code that runs with the context in `r6`, may use every other register and the frame
/// that [`OPENING`] clears, and goes on to what follows it.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) name: String,
    pub(super) code: Vec<Insn>,
    /// Whether the kernel would refuse it before it reads the code, so that no listing could name it.
    pub(super) alone: bool,
    /// Whether most kernels refuse it, so that what they take is better asked without it.
    pub(super) doubtful: bool,
    /// The helper that it is about.
    pub(super) helper: Option<i32>,
}

impl Piece {
    pub(super) fn new(name: impl Into<String>, code: impl Into<Vec<Insn>>) -> Self {
        Self { name: name.into(), code: code.into(), alone: false, doubtful: false, helper: None }
    }

    pub(super) fn alone(name: impl Into<String>, code: impl Into<Vec<Insn>>) -> Self {
        Self { alone: true, ..Self::new(name, code) }
    }

    /// Whether a refusal names its helper: `unknown func bpf_redirect#23`, `[nfp] unsupported function
    /// id: 23`.
    fn is_named_in(&self, line: &str) -> bool {
        self.helper.is_some_and(|id| {
            line.rsplit(['#', ' ']).next().and_then(|word| word.parse().ok()) == Some(id)
        })
    }
}

/// Bytes of the frame below `r10` that hold zeros before every piece: a key at -8, a value at -72, a
/// number at -80, room for a dynptr at -96.
pub(super) const FRAME_BYTES: i16 = 96;

/// Programs of one type for one device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub(super) card: &'a Card<'a>,
    /// `enum bpf_prog_type`.
    pub(super) kind: u32,
}

impl Asker<'_> {
    /// Answers every piece.
    pub(super) fn ask(&self, pieces: &[Piece]) -> Findings {
        let mut found = Findings::new();
        let (alone, together): (Vec<&Piece>, Vec<&Piece>) = pieces.iter().partition(|p| p.alone);
        let (doubtful, together): (Vec<&Piece>, Vec<&Piece>) =
            together.into_iter().partition(|piece| piece.doubtful);
        let mut groups = vec![together, doubtful];
        groups.extend(alone.into_iter().map(|piece| vec![piece]));
        while let Some(group) = groups.pop() {
            self.settle(group, &mut groups, &mut found);
        }
        found
    }

    /// Answers a group, or leaves smaller ones. Past a refusal it goes on with what comes after it, so
    /// that nothing is verified twice but what was taken, which is loaded once more as a whole: only
    /// then does the driver translate it.
    fn settle<'p>(
        &self,
        group: Vec<&'p Piece>,
        groups: &mut Vec<Vec<&'p Piece>>,
        found: &mut Findings,
    ) {
        let mut verified: Vec<&Piece> = Vec::new();
        let mut rest = group;
        while !rest.is_empty() {
            let Err(error) = self.load(&rest) else { break };
            if let ([piece], true) = (&rest[..], verified.is_empty()) {
                found.insert(piece.name.clone(), judge(self.card, &error));
                return;
            }
            let Some((index, finding)) = self.culprit(&rest, &error) else {
                let half = rest.split_off(rest.len() / 2);
                groups.extend([rest, half]);
                rest = Vec::new();
                break;
            };
            let mut after = rest.split_off(index);
            let piece = after.remove(0);
            verified.append(&mut rest);
            match finding {
                Some(finding) => drop(found.insert(piece.name.clone(), finding)),
                None => groups.push(vec![piece]),
            }
            rest = after;
        }
        let translated = verified.is_empty();
        verified.append(&mut rest);
        match if translated { Ok(()) } else { self.load(&verified) } {
            Ok(()) => found.extend(verified.iter().map(|p| (p.name.clone(), yes("accepted")))),
            Err(error) => match &verified[..] {
                [piece] => drop(found.insert(piece.name.clone(), judge(self.card, &error))),
                _ => {
                    let half = verified.split_off(verified.len() / 2);
                    groups.extend([verified, half]);
                }
            },
        }
    }

    fn load(&self, group: &[&Piece]) -> Result<(), KernelError> {
        self.card.load(self.kind, &program(group), Log::Complaints).map(drop)
    }

    /// The piece that a refusal is about: the helper it names, else the piece in which the verifier's
    /// listing ends. What the verifier says of it is an answer already; a driver may speak of the whole
    /// program after its last instruction, so that the piece has to be tried alone.
    fn culprit(&self, group: &[&Piece], error: &KernelError) -> Option<(usize, Option<Finding>)> {
        if let Said::Kernel(line) | Said::Driver(line) = said(error)
            && let Some(index) = group.iter().position(|piece| piece.is_named_in(line))
        {
            let kernels = matches!(said(error), Said::Kernel(_));
            return Some((index, kernels.then(|| judge(self.card, error))));
        }
        let error = self.card.load(self.kind, &program(group), Log::Listing).err()?;
        let index = at(group, last_instruction(error.log.as_deref()?)?)?;
        let kernels = matches!(said(&error), Said::Kernel(_));
        Some((index, kernels.then(|| judge(self.card, &error))))
    }
}

/// `r6 = r1`, and zeros in the frame.
fn opening() -> impl Iterator<Item = Insn> {
    let clear = (1..=FRAME_BYTES / 8).map(|slot| Insn::new(0x7a, 10, 0, -8 * slot, 0));
    std::iter::once(Insn::new(0xbf, 6, 1, 0, 0)).chain(clear)
}

const OPENING: usize = 1 + FRAME_BYTES as usize / 8;

fn program(group: &[&Piece]) -> Vec<Insn> {
    let pieces = group.iter().flat_map(|piece| piece.code.iter().copied());
    // 2 is XDP_PASS and TC_ACT_SHOT: one of the few constants that nfp's classifiers may return.
    opening().chain(pieces).chain([Insn::new(0xb7, 0, 0, 0, 2), EXIT]).collect()
}

/// Which piece holds an instruction of the group's program.
fn at(group: &[&Piece], insn: usize) -> Option<usize> {
    let mut end = OPENING;
    group.iter().position(|piece| {
        let begin = end;
        end += piece.code.len();
        (begin..end).contains(&insn)
    })
}

/// The last instruction that a verifier's listing shows: `12: (85) call bpf_redirect#23`.
fn last_instruction(log: &str) -> Option<usize> {
    log.lines().rev().find_map(|line| {
        let (number, rest) = line.split_once(": (")?;
        let code = rest.get(..3)?.strip_suffix(')')?;
        u8::from_str_radix(code, 16).ok()?;
        number.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_ends_in_the_piece_that_was_refused() {
        let log = "0: R1=ctx() R10=fp0\n0: (bf) r6 = r1                       ; R1=ctx()\n\
                   13: (85) call bpf_ktime_get_ns#5\n14: R0_w=scalar()\n\
                   14: (97) r0 %= 3\n[nfp] instruction 0x97 not supported\n\
                   processed 15 insns (limit 1000000)";
        let insn = last_instruction(log).expect("one is shown");
        assert_eq!(insn, 14);
        let piece = |name: &str| Piece::new(name, vec![EXIT]);
        let (first, second) = (piece("first"), piece("second"));
        assert_eq!(at(&[&first, &second], insn), Some(1));
        assert_eq!(at(&[&first, &second], 15), None, "the program's own end");
        assert_eq!(at(&[&first, &second], 0), None, "its opening");
        assert_eq!(last_instruction("processed 0 insns (limit 1000000)"), None);
    }

    #[test]
    fn a_refusal_may_name_the_helper() {
        let piece = Piece { helper: Some(23), ..Piece::new("bpf_redirect", vec![]) };
        for (line, named) in [
            ("program of this type cannot use helper bpf_redirect#23", true),
            ("[nfp] unsupported function id: 23", true),
            ("unknown func bpf_fib_lookup#69", false),
            ("R1 type=scalar expected=fp", false),
        ] {
            assert_eq!(piece.is_named_in(line), named, "{line}");
        }
    }

    #[test]
    fn the_opening_is_as_long_as_it_says() {
        assert_eq!(opening().count(), OPENING);
    }
}
