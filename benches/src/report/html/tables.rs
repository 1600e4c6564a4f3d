//! The tables of the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::words::{fate, not_forwarded, rate_of};
use super::super::{Environment, Floor, Measurement, Search, Step};
use super::charts::duration;
use super::{exact, mpps, name, percent, text};
use crate::linerate;
use crate::search::Ended;
use crate::stats::Summary;
use crate::trial::{Ledger, Trial};

/// A table in the making. Heads that begin with `>` are of columns of numbers, with `~` of long text.
struct Table {
    columns: Vec<&'static str>,
    rows: String,
}

impl Table {
    fn new(heads: &[&'static str]) -> Self {
        Self { columns: heads.to_vec(), rows: String::new() }
    }

    fn class(head: &str) -> &'static str {
        match head.chars().next() {
            Some('>') => " class=\"n\"",
            Some('~') => " class=\"wrap\"",
            _ => "",
        }
    }

    /// A row of cells that are HTML already.
    fn row(&mut self, cells: &[String]) {
        self.rows.push_str("<tr>");
        for (head, cell) in self.columns.iter().zip(cells) {
            let _ = write!(self.rows, "<td{}>{cell}</td>", Self::class(head));
        }
        self.rows.push_str("</tr>");
    }

    /// Nothing where there is no row.
    fn finish(self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let heads: String = self
            .columns
            .iter()
            .map(|head| {
                let words = head.trim_start_matches(['>', '~']);
                format!("<th{}>{}</th>", Self::class(head), text(words))
            })
            .collect();
        format!(
            "<div class=\"scroll\"><table><thead><tr>{heads}</tr></thead><tbody>{}</tbody></table></div>",
            self.rows
        )
    }
}

/// One line for each cell.
pub(super) fn results(cells: &[&Measurement]) -> String {
    let mut table = Table::new(&[
        "engine",
        "program",
        "frames",
        ">Mpps",
        ">least to most",
        ">lost",
        "rate",
        ">cores",
        ">of 10G",
        ">ns / cycles",
        "unaccounted",
    ]);
    for cell in cells {
        let kind = rate_of(&cell.search).unwrap_or_else(|| match &cell.search {
            Search::Soak { load } => format!("soak at {} Mpps", mpps(*load, 3)),
            Search::Latency { .. } => "latency".to_owned(),
            Search::FrameLoss { .. } => "frame loss".to_owned(),
            Search::BackToBack(_) => "back-to-back".to_owned(),
            _ => "none".to_owned(),
        });
        let rate = |of: fn(&Summary) -> f64| {
            cell.pps.as_ref().map_or_else(|| "–".to_owned(), |pps| mpps(of(pps), 4))
        };
        let line = linerate::pps(10.0, cell.frame_bytes);
        let lost = if cell.pps.is_some() { exact(cell.loss_ratio) } else { String::new() };
        let spread = match cell.pps {
            Some(_) => format!("{} – {}", rate(|pps| pps.min), rate(|pps| pps.max)),
            None => String::new(),
        };
        let cycles = cell.cycles.map_or_else(String::new, |cycles| format!(" / {cycles:.0}"));
        table.row(&[
            text(&name(cell)),
            text(&cell.program),
            text(&cell.profile),
            format!("<b>{}</b>", rate(|pps| pps.median)),
            spread,
            lost,
            text(&kind),
            if cell.cores < 0 { "remote".to_owned() } else { cell.cores.to_string() },
            cell.pps.map_or_else(String::new, |pps| percent(pps.median / line)),
            cell.nanoseconds.map_or_else(String::new, |each| format!("{each:.1}{cycles}")),
            account(cell),
        ]);
    }
    table.finish()
}

/// What media of all speeds carry of the frames measured, and how much of it the fastest cell reaches.
pub(super) fn line_rates(sizes: &[(String, f64, f64)]) -> String {
    let mut heads = vec!["frames", ">fastest, Mpps"];
    heads.extend([">10G", ">25G", ">40G", ">100G", ">200G", ">400G"]);
    let mut table = Table::new(&heads);
    for (profile, bytes, best) in sizes {
        let mut row = vec![text(profile), mpps(*best, 4)];
        row.extend(linerate::SPEEDS.map(|gbits| {
            let line = linerate::pps(gbits, *bytes);
            let reached = percent(best / line);
            format!("{} <span class=\"dim\">({reached})</span>", mpps(line, 3))
        }));
        table.row(&row);
    }
    format!(
        "<details><summary>Line rates in Mpps, and how much of each the fastest reaches</summary>{}</details>",
        table.finish()
    )
}

/// What the ledger leaves over, and how trials and search went.
fn account(cell: &Measurement) -> String {
    let residual: i128 = cell.ledger.stages.iter().map(|stage| stage.residual().abs()).sum();
    let none = cell.pps.is_none() && !cell.trials.iter().any(Trial::valid);
    let mut words = match residual {
        // Nothing that counts was counted.
        _ if none && cell.rejected > 0 => "<span class=\"bad\">no valid trial</span>".to_owned(),
        _ if none => String::new(),
        0 => "<span class=\"good\">0</span>".to_owned(),
        residual => format!("<span class=\"bad\">{residual}</span>"),
    };
    if cell.rejected > 0 {
        let _ = write!(words, " <span class=\"dim\">({} rejected)</span>", cell.rejected);
    }
    if let Some(part) = not_forwarded(cell) {
        let _ = write!(words, " <span class=\"bad\">{part}</span>");
    }
    match &cell.ended {
        Ended::Complete => {}
        Ended::Failed(why) => {
            let _ = write!(words, " <span class=\"bad\">{}</span>", text(why));
        }
        Ended::Rejected | Ended::NoTraffic if none && cell.rejected > 0 => {}
        Ended::Rejected | Ended::NoTraffic => {
            words.push_str(" <span class=\"bad\">no valid trial</span>")
        }
        Ended::Stopped => words.push_str(" <span class=\"dim\">stopped</span>"),
        Ended::OutOfTime => words.push_str(" <span class=\"dim\">out of time</span>"),
    }
    words
}

/// What each search found.
pub(super) fn searches(cells: &[&Measurement]) -> String {
    let mut table = Table::new(&["engine", "program", "frames", "search", "~found"]);
    for cell in cells {
        for (search, found) in found(&cell.search) {
            let place = [name(cell), cell.program.clone(), cell.profile.clone()];
            let mut row: Vec<String> = place.iter().map(|words| text(words)).collect();
            row.extend([text(&search), text(&found)]);
            table.row(&row);
        }
    }
    table.finish()
}

/// A search and its results in words.
fn found(search: &Search) -> Vec<(String, String)> {
    let rate = |summary: &Option<Summary>| match summary {
        Some(s) => format!("{} Mpps ({} to {})", mpps(s.median, 4), mpps(s.min, 4), mpps(s.max, 4)),
        None => "none".to_owned(),
    };
    match search {
        Search::Maximum | Search::Soak { .. } | Search::None => Vec::new(),
        Search::Throughput { seconds, load, .. } => vec![(
            "throughput (RFC 2544 26.1)".to_owned(),
            format!("{}, confirmed by trials of {seconds} s", rate(load)),
        )],
        Search::Latency { load, trials, typical, worst_case, delay_variation } => vec![(
            format!("latency (RFC 2544 26.2) at {} Mpps", mpps(*load, 4)),
            format!(
                "typical {}, worst case {}, delay variation {}, over {trials} trials",
                duration(*typical),
                duration(*worst_case),
                duration(*delay_variation)
            ),
        )],
        Search::FrameLoss { steps, .. } => {
            let steps: Vec<String> = steps
                .iter()
                .map(|step| {
                    format!("{} at {:.0} %", exact(step.loss_ratio.median), step.part * 100.0)
                })
                .collect();
            vec![("frame loss (RFC 2544 26.3)".to_owned(), steps.join(", "))]
        }
        Search::BackToBack(found) => {
            let frames = found.frames.map_or_else(
                || "no burst came through".to_owned(),
                |frames| {
                    format!(
                        "{:.0} frames ({:.0} to {:.0}, deviation {:.1}, {} tests)",
                        frames.mean, frames.min, frames.max, frames.stdev, frames.runs
                    )
                },
            );
            let time = duration(found.corrected_seconds * 1e9);
            let implied = duration(found.implied_seconds * 1e9);
            vec![(
                "back-to-back (RFC 2544 26.4, RFC 9004)".to_owned(),
                format!("{frames}; buffer {time} corrected, {implied} implied"),
            )]
        }
        Search::Mlr { goals, trial_seconds, .. } => goals
            .iter()
            .map(|found| {
                let goal = &found.goal;
                let title = format!(
                    "{} (RFC 9971): loss {} in {} s of trials of {} s, half-width {}",
                    goal.name,
                    exact(goal.loss_ratio),
                    goal.duration_sum,
                    goal.final_trial_seconds,
                    percent(goal.width)
                );
                let mut words = format!(
                    "{}; between {} and {}",
                    rate(&found.throughput),
                    rate(&found.lower),
                    rate(&found.upper)
                );
                if let Some(seconds) = trial_seconds {
                    let _ = write!(words, "; {:.1} s of traffic", seconds.median);
                }
                (title.replace("half-width", "width"), words)
            })
            .collect(),
    }
}

/// The library's own benches.
pub(super) fn paths(cells: &[&Measurement]) -> String {
    let mut table = Table::new(&["bench", "of", ">time", ">runs per second"]);
    for cell in cells {
        let time = cell.nanoseconds.map_or_else(String::new, duration);
        let rate = cell.pps.map_or_else(String::new, |pps| format!("{:.0}", pps.median));
        table.row(&[text(&cell.program), text(&cell.profile), time, rate]);
    }
    table.finish()
}

/// Where every packet of every cell went.
pub(super) fn ledgers(cells: &[&Measurement]) -> String {
    let mut out = String::new();
    for cell in cells.iter().filter(|cell| !cell.ledger.stages.is_empty()) {
        let word = if cell.ledger.balanced() {
            "<span class=\"good\">balanced</span>"
        } else {
            "<span class=\"bad\">does not balance</span>"
        };
        let kind = rate_of(&cell.search).map_or_else(String::new, |kind| format!(", {kind}"));
        let title = format!("{} on {}, {}{kind}", cell.program, name(cell), cell.profile);
        let _ = write!(
            out,
            "<details><summary>{}: {word}</summary>{}</details>",
            text(&title),
            ledger(&cell.ledger)
        );
    }
    out
}

fn ledger(ledger: &Ledger) -> String {
    let mut table = Table::new(&["place", ">packets", "~counted by"]);
    for stage in &ledger.stages {
        table.row(&[
            format!("<b>{}</b>", text(&stage.name)),
            stage.came.packets.to_string(),
            format!("<code>{}</code>", text(&stage.came.counter)),
        ]);
        for entry in &stage.out {
            table.row(&[
                format!("&emsp;{}", text(&fate(entry.fate))),
                entry.packets.to_string(),
                format!("<code>{}</code>", text(&entry.counter)),
            ]);
        }
        let class = if stage.residual() == 0 { "good" } else { "bad" };
        table.row(&[
            "&emsp;unaccounted for".to_owned(),
            format!("<span class=\"{class}\">{}</span>", stage.residual()),
            String::new(),
        ]);
    }
    for witness in &ledger.witnesses {
        let (class, word) = match witness.packets == witness.expected {
            true => ("good", "confirms"),
            false => ("bad", "contradicts"),
        };
        table.row(&[
            format!("witness <span class=\"{class}\">{word}</span>"),
            witness.packets.to_string(),
            format!(
                "<code>{}</code> against <code>{}</code>",
                text(&witness.counter),
                text(&witness.confirms)
            ),
        ]);
    }
    table.finish()
}

pub(super) fn floors(floors: &[Floor]) -> String {
    let mut table = Table::new(&["floor", ">Mpps", ">min", ">max", ">ns", "~what it is"]);
    for Floor { name, about, pps } in floors {
        let each =
            if pps.median > 0.0 { format!("{:.1}", 1e9 / pps.median) } else { String::new() };
        let [median, min, max] = [pps.median, pps.min, pps.max].map(|rate| mpps(rate, 4));
        table.row(&[text(name), median, min, max, each, text(about)]);
    }
    table.finish()
}

pub(super) fn recipe(steps: &[Step]) -> String {
    let mut table = Table::new(&["~command", "~why", "before"]);
    for Step { command, why, before } in steps {
        let before = before.as_deref().unwrap_or("not put back");
        table.row(&[format!("<code>{}</code>", text(command)), text(why), text(before)]);
    }
    table.finish()
}

pub(super) fn environment(environment: &Environment) -> String {
    let facts = |facts: &BTreeMap<String, String>| {
        let mut table = Table::new(&["", "~"]);
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            table.row(&[text(name), text(value)]);
        }
        table.finish().replace("<thead><tr><th></th><th class=\"wrap\"></th></tr></thead>", "")
    };
    let mut out = facts(&environment.machine);
    for (device, about) in &environment.devices {
        let _ = write!(out, "<h3>{}</h3>{}", text(device), facts(about));
    }
    out
}
