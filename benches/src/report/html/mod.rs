//! A report as one page: charts, tables and circumstances, without anything from a network. What comes
//! from a report is text and is escaped; a policy in the page forbids scripts and requests besides.

use std::fmt::Write as _;

use super::words::{advice, carrier, rate_of, ratios};
use super::{Measurement, Report};
use crate::trial::Severity;

mod charts;
mod svg;
mod tables;
#[cfg(test)]
mod tests;

const STYLE: &str = include_str!("style.css");

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut out = String::with_capacity(64 * 1024);
    let title = format!("hoist bench, {}", report.environment.started);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{}</title>\n<style>\n{STYLE}</style></head>\n<body><main>\n",
        text(&title)
    );
    out.push_str(&head(report));
    out.push_str(&findings(report));
    let (paths, cells): (Vec<&Measurement>, Vec<&Measurement>) =
        report.results.iter().partition(|cell| cell.measured_by == "criterion");
    section(&mut out, "Rates", "", &tables::results(&cells));
    for (heading, group) in groups(&cells) {
        if let Some(chart) = charts::rates(&group) {
            section(&mut out, &heading, "", &chart);
        }
    }
    let about = "How much is lost as the load grows.";
    chart(&mut out, "Loss", about, charts::loss(&cells));
    let about = "What a frame waits, by percentile.";
    chart(&mut out, "Latency", about, charts::latency(&cells));
    let about = "A difference between two cells that is smaller than this is none.";
    chart(&mut out, "Run-to-run spread", about, charts::spread(&cells));
    let about = "What was searched for, and found, in the terms of the document that defines it.";
    filled(&mut out, "Searches", about, &tables::searches(&cells));
    let about =
        "What the library itself takes to read, judge, translate and run programs, by criterion.";
    filled(&mut out, "Hot paths of the library", about, &tables::paths(&paths));
    let about = "Conservation of packets: at each place, what came is what went on or ended, by the \
                 counter named. Sums over all valid trials.";
    filled(&mut out, "Where every packet went", about, &tables::ledgers(&cells));
    let about = "What the machine reaches when next to nothing is done.";
    filled(&mut out, "Floors", about, &tables::floors(&report.floors));
    let about = "What was changed for the benchmark, and put back after it.";
    filled(&mut out, "Preparation", about, &tables::recipe(&report.recipe));
    section(&mut out, "Circumstances", "", &tables::environment(&report.environment));
    let _ = write!(
        out,
        "<footer>Made by hoist {} from a document of schema {}.</footer>\n</main></body></html>\n",
        text(&report.environment.hoist),
        text(&report.schema)
    );
    out
}

fn section(out: &mut String, heading: &str, about: &str, body: &str) {
    let about =
        if about.is_empty() { String::new() } else { format!("<p class=\"about\">{about}</p>") };
    let _ = writeln!(out, "<section><h2>{}</h2>{about}{body}</section>", text(heading));
}

fn chart(out: &mut String, heading: &str, about: &str, drawn: Option<String>) {
    if let Some(drawn) = drawn {
        section(out, heading, about, &drawn);
    }
}

fn filled(out: &mut String, heading: &str, about: &str, body: &str) {
    if !body.is_empty() {
        section(out, heading, about, body);
    }
}

/// What was measured where, and what follows, in words.
fn head(report: &Report) -> String {
    let environment = &report.environment;
    let fact = |name: &str| environment.machine.get(name).filter(|value| !value.is_empty());
    let mut facts = vec![format!("Linux {}", environment.kernel)];
    facts.extend(fact("cpu").cloned());
    facts.extend(fact("cpus").map(|cpus| format!("processors {cpus}")));
    facts.extend(
        fact("hypervisor").filter(|name| !["none", "unknown"].contains(&name.as_str())).cloned(),
    );
    facts.push(environment.started.clone());
    let facts: Vec<String> = facts.iter().map(|fact| text(fact)).collect();
    let mut out = format!(
        "<header><h1>How fast it runs</h1><p class=\"sub\">{}</p><p class=\"sub\"><code>{}</code></p>",
        facts.join(" · "),
        text(&environment.command.join(" "))
    );
    let words = ratios(&report.results);
    if !words.is_empty() {
        out.push_str("<ul class=\"words\">");
        words.iter().for_each(|words| {
            let _ = write!(out, "<li>{}</li>", text(words));
        });
        out.push_str("</ul>");
    }
    if report.interrupted {
        out.push_str(
            "<div class=\"finding warning\"><b>Interrupted.</b> This is what was measured until then.</div>",
        );
    }
    out + "</header>\n"
}

fn findings(report: &Report) -> String {
    let mut out = String::new();
    for (finding, places) in advice(report) {
        let class = match finding.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Invalid => "invalid",
        };
        let places = match places.as_slice() {
            [] => String::new(),
            few if few.len() <= 4 => {
                format!(" <span class=\"dim\">{}.</span>", text(&few.join("; ")))
            }
            many => format!(" <span class=\"dim\">{} cells.</span>", many.len()),
        };
        let advice = finding
            .advice
            .as_ref()
            .map_or_else(String::new, |advice| format!("<br><b>Advice:</b> {}", text(advice)));
        let _ = write!(
            out,
            "<div class=\"finding {class}\"><b>{class}:</b> {} <code>{}</code>{places}{advice}</div>",
            text(&finding.message),
            text(&finding.code)
        );
    }
    if out.is_empty() { out } else { format!("<section><h2>Findings</h2>{out}</section>\n") }
}

/// Cells whose rates can stand in one chart: of one program, number of cores and kind of search.
fn groups<'a>(cells: &[&'a Measurement]) -> Vec<(String, Vec<&'a Measurement>)> {
    let mut groups: Vec<(String, Vec<&Measurement>)> = Vec::new();
    for cell in cells {
        let Some(kind) = rate_of(&cell.search) else { continue };
        let cores = match cell.cores {
            -1 => "a remote generator".to_owned(),
            1 => "one generating core".to_owned(),
            cores => format!("{cores} generating cores"),
        };
        let heading = format!("{}: {kind} by engine and frame size, {cores}", cell.program);
        match groups.iter_mut().find(|(known, _)| *known == heading) {
            Some((_, group)) => group.push(cell),
            None => groups.push((heading, vec![cell])),
        }
    }
    groups
}

/// What a cell runs on.
fn name(cell: &Measurement) -> String {
    carrier(cell)
}

/// Text as HTML, in an element or in an attribute.
fn text(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for character in words.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // What is no character of HTML, and what turns the direction of text around.
            '\0'..='\u{8}'
            | '\u{b}'
            | '\u{c}'
            | '\u{e}'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

/// Millions of packets per second with that many places, fewer for large numbers.
fn mpps(pps: f64, places: usize) -> String {
    let value = pps / 1e6;
    let text = match value {
        value if value >= 1000.0 => format!("{value:.0}"),
        value if value >= 100.0 => format!("{value:.1}"),
        value => format!("{value:.places$}"),
    };
    match text.contains('.') {
        true if places <= 3 => {
            let short = text.trim_end_matches('0').trim_end_matches('.');
            short.to_owned()
        }
        _ => text,
    }
}

/// A part as per cent, short.
fn percent(part: f64) -> String {
    let percent = part * 100.0;
    let places = match percent.abs() {
        p if p == 0.0 || p >= 10.0 => 0,
        p if p >= 1.0 => 1,
        _ => 2,
    };
    format!("{percent:.places$} %")
}

/// A part as per cent, with enough digits to tell little from nothing.
fn exact(part: f64) -> String {
    match part {
        0.0 => "0".to_owned(),
        part if part < 0.000_01 => "< 0.001 %".to_owned(),
        part => format!("{:.3} %", part * 100.0),
    }
}
