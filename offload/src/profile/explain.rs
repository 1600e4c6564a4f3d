//! From the driver's words, in the verifier's log and in the kernel's, to gaps.

use crate::error::Gap;
use crate::fact::Evidence;

use super::{Profile, Rule};

/// What the verifier's log has before each line of the nfp driver.
const MARKS: [&str; 3] = ["[nfp] ", "[netdevsim] ", "netdevsim: "];

impl Profile {
    /// The gaps that a refusal's own words name: those of the verifier's log (which has the driver's
    /// checks) and those of the kernel's (which has what the driver found out too late to tell).
    /// What is not known to this profile is left out.
    #[must_use]
    pub fn explain(&self, log: &str, dmesg: &str) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        let mut insn = None;
        for line in log.lines() {
            if let Some((number, _)) = line.split_once(": (")
                && let Ok(number) = number.trim().parse::<u32>()
            {
                insn = Some(number);
            }
            let place = insn.map(|number| format!("instruction {number}"));
            gaps.extend(self.words(line, "the verifier's log", place));
        }
        for line in dmesg.lines() {
            gaps.extend(self.words(line, "dmesg", None));
        }
        let mut seen = std::collections::BTreeSet::new();
        gaps.retain(|gap| seen.insert((gap.code.clone(), gap.insn.clone(), gap.message.clone())));
        gaps
    }

    fn words(&self, line: &str, source: &str, place: Option<String>) -> Option<Gap> {
        let (rule, said) = Rule::ALL.iter().find_map(|rule| {
            let texts = &self.rules.get(rule)?.texts;
            let said = texts.iter().find_map(|text| spoken(text, line))?;
            Some((*rule, said))
        })?;
        let mut gap = Gap::new(rule.code(), format!("{}: the driver says {said:?}", rule.title()))
            .remedy(rule.remedy());
        gap.insn = place;
        gap.evidence = Some(Evidence::kernel(format!("{source}; {}", self.evidence(rule).detail)));
        Some(gap)
    }
}

/// The part of a line that a format string may have written; `None` where it did not. What a
/// conversion wrote may be anything.
fn spoken<'a>(format: &str, line: &'a str) -> Option<&'a str> {
    let pieces = pieces(format);
    let first = pieces.iter().find(|piece| !piece.is_empty())?;
    let starts = MARKS.iter().find_map(|mark| Some(line.find(mark)? + mark.len()));
    // A format that begins with a conversion begins where the driver's mark ends.
    let begin = match (pieces.first().is_some_and(|piece| piece.is_empty()), starts) {
        (true, Some(start)) => start,
        (true, None) => 0,
        (false, _) => line.find(first.as_str())?,
    };
    let mut rest = &line[begin..];
    for piece in &pieces {
        let at = rest.find(piece.as_str())?;
        rest = &rest[at + piece.len()..];
    }
    Some(line[begin..].trim_end())
}

/// The fixed parts of a format string, in order.
fn pieces(format: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            if let Some(piece) = pieces.last_mut() {
                piece.push(c);
            }
            continue;
        }
        // Flags, width and length up to the conversion's letter.
        for c in chars.by_ref() {
            if c.is_ascii_alphabetic() && !matches!(c, 'l' | 'h' | 'z') {
                break;
            }
        }
        pieces.push(String::new());
    }
    pieces
}

#[cfg(test)]
mod tests;
