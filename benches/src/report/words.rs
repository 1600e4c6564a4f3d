//! A report in sentences, for a terminal and for the page.

use super::{Measurement, Report, Search};
use crate::trial::{Fate, Finding};

/// What a cell runs on: the engine, and the hook where there are several.
#[must_use]
pub fn carrier(cell: &Measurement) -> String {
    match cell.hook.as_str() {
        "" | "xdp" => cell.engine.clone(),
        hook if cell.engine == "tc" => hook.to_owned(),
        hook => format!("{} ({hook})", cell.engine),
    }
}

/// What became of packets, in words: `not forwarded`.
#[must_use]
pub fn fate(fate: Fate) -> String {
    let name = serde_json::to_value(fate).unwrap_or_default();
    name.as_str().unwrap_or_default().replace('-', " ")
}

/// How many of the packets that a program took it could not send on: the rate of a cell is of what the
/// program took, and such packets are not lost on the way there. `None` where all were sent on.
#[must_use]
pub fn not_forwarded(cell: &Measurement) -> Option<String> {
    let failed = cell.ledger.of(Fate::NotForwarded);
    let first = cell.ledger.stages.first().map_or(0, |stage| stage.came.packets);
    let part = failed as f64 / first.max(1) as f64 * 100.0;
    match part {
        _ if failed == 0 => None,
        part if part < 0.1 => Some("< 0.1 % not forwarded".to_owned()),
        part => Some(format!("{part:.1} % not forwarded")),
    }
}

/// For each program, profile, number of cores and kind of rate: how the fastest stands to the others,
/// fastest first. `drop, 64: native ran 2.6x the rate of generic, 2.9x of tcx`.
#[must_use]
pub fn ratios(results: &[Measurement]) -> Vec<String> {
    let alike = |a: &Measurement, b: &Measurement| {
        a.program == b.program
            && a.profile == b.profile
            && a.cores == b.cores
            && a.measured_by == b.measured_by
            && rate_of(&a.search) == rate_of(&b.search)
    };
    let mut groups: Vec<Vec<&Measurement>> = Vec::new();
    let told = |cell: &&Measurement| {
        rate_of(&cell.search).is_some()
            && cell.measured_by != "criterion"
            && cell.pps.is_some_and(|pps| pps.median > 0.0)
    };
    for cell in results.iter().filter(told) {
        match groups.iter_mut().find(|group| alike(group[0], cell)) {
            Some(group) => group.push(cell),
            None => groups.push(vec![cell]),
        }
    }
    let rate = |cell: &Measurement| cell.pps.map_or(0.0, |pps| pps.median);
    groups
        .into_iter()
        .filter_map(|mut group| {
            group.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
            let (best, others) = group.split_first()?;
            let (first, rest) = others.split_first()?;
            let ratio = |cell: &Measurement| times(rate(best) / rate(cell));
            let kind = match rate_of(&best.search) {
                Some(kind) if best.search != Search::Maximum => format!(", {kind}"),
                _ => String::new(),
            };
            let mut words = format!(
                "{}, {}{kind}: {} ran {} the rate of {}",
                best.program,
                best.profile,
                carrier(best),
                ratio(first),
                carrier(first)
            );
            for cell in rest {
                words.push_str(&format!(", {} of {}", ratio(cell), carrier(cell)));
            }
            Some(words)
        })
        .collect()
}

/// What the rate of a search is, where it is one by which cells can be put in order: a load that was
/// given is none.
#[must_use]
pub fn rate_of(search: &Search) -> Option<String> {
    match search {
        Search::Maximum => Some("maximum rate".to_owned()),
        Search::Throughput { .. } => Some("throughput".to_owned()),
        Search::Mlr { goals, .. } => goals.first().map(|found| found.goal.name.clone()),
        _ => None,
    }
}

/// `2.6x`, and finer where two are close.
fn times(ratio: f64) -> String {
    if ratio < 1.1 { format!("{ratio:.2}x") } else { format!("{ratio:.1}x") }
}

/// Everything that a reader must know, most serious first, each once with the cells it concerns.
#[must_use]
pub fn advice(report: &Report) -> Vec<(&Finding, Vec<String>)> {
    let mut all: Vec<(&Finding, Vec<String>)> =
        report.findings.iter().map(|finding| (finding, Vec::new())).collect();
    for cell in &report.results {
        for finding in &cell.findings {
            let place = format!("{} on {}, {}", cell.program, carrier(cell), cell.profile);
            match all.iter_mut().find(|(known, _)| *known == finding) {
                Some((_, places)) if places.contains(&place) => {}
                Some((_, places)) => places.push(place),
                None => all.push((finding, vec![place])),
            }
        }
    }
    all.sort_by_key(|(finding, _)| std::cmp::Reverse(finding.severity));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;
    use crate::trial::Severity;

    #[test]
    fn ratios_are_told_in_words_the_fastest_first() {
        let report = sample::report(1);
        let words = ratios(&report.results);
        assert_eq!(
            words[0],
            "drop, 64: native ran 1.9x the rate of user (af_xdp), 2.6x of generic, 2.9x of tcx, 3.2x of clsact"
        );
        // Four sizes at full speed, then two engines by NDR; loads that were given tell nothing.
        assert_eq!(words.len(), 5, "{words:#?}");
        assert_eq!(words[4], "drop, 64, NDR: native ran 2.6x the rate of generic");
        assert!(ratios(&report.results[..1]).is_empty(), "one cell has no ratio");
        let mut close = report.results[..2].to_vec();
        close[1].profile = close[0].profile.clone();
        close[1].engine = "generic".to_owned();
        assert!(ratios(&close)[0].contains("1.01x"), "{:?}", ratios(&close));
    }

    #[test]
    fn advice_comes_once_with_its_cells_and_the_worst_first() {
        let mut report = sample::report(1);
        let mut bad = report.findings[0].clone();
        bad.severity = Severity::Invalid;
        bad.code = "no-napi".to_owned();
        for cell in &mut report.results[..2] {
            cell.findings = vec![bad.clone(), report.findings[0].clone()];
        }
        let all = advice(&report);
        assert_eq!((all[0].0.code.as_str(), all[0].1.len()), ("no-napi", 2));
        assert_eq!(all[0].1, ["drop on native, 64", "drop on native, 512"]);
        assert!(all.windows(2).all(|pair| pair[0].0.severity >= pair[1].0.severity));
        assert_eq!(all.iter().filter(|(f, _)| f.code == "shared-processor").count(), 1);
    }
}
