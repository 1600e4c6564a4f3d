//! The charts of the page.

use super::super::{Measurement, Search};
use super::svg::{Drawing, Scale, WIDTH, legend};
use super::{exact, mpps, name, percent, tables, text};
use crate::linerate::{self, SPEEDS};
use crate::stats::Summary;
use crate::trial::Percentiles;

/// Where the plane of a chart begins and ends, from left to right.
const LEFT: f64 = 74.0;
const RIGHT: f64 = WIDTH - 26.0;
/// Where it begins, from the top.
const TOP: f64 = 30.0;

fn figure(drawing: Drawing, names: &[String], caption: &str) -> String {
    let legend = if names.len() > 1 { legend(names) } else { String::new() };
    let svg = drawing.finish();
    format!(
        "<figure>{legend}<div class=\"scroll\">{svg}</div><figcaption>{}</figcaption></figure>",
        text(caption)
    )
}

/// Names of the series in the order of their first occurrence.
fn series<'a>(
    cells: impl Iterator<Item = &'a Measurement>,
    of: fn(&Measurement) -> String,
) -> Vec<String> {
    let mut names = Vec::new();
    for cell in cells {
        let name = of(cell);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Rates by frame size, one mark per engine, against what media carry.
pub(super) fn rates(cells: &[&Measurement]) -> Option<String> {
    let cells: Vec<&Measurement> =
        cells.iter().copied().filter(|cell| cell.pps.is_some()).collect();
    let names = series(cells.iter().copied(), name);
    let mut sizes: Vec<(String, f64)> = Vec::new();
    for cell in &cells {
        if !sizes.iter().any(|(profile, _)| *profile == cell.profile) {
            sizes.push((cell.profile.clone(), cell.frame_bytes));
        }
    }
    sizes.sort_by(|a, b| a.1.total_cmp(&b.1));
    let rates = cells.iter().filter_map(|cell| cell.pps);
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for pps in rates.filter(|pps| pps.median > 0.0) {
        low = low.min(pps.min.max(pps.median / 100.0));
        high = high.max(pps.max);
    }
    if high <= 0.0 {
        return None;
    }
    // Room for the next line rate above the fastest of each size.
    let limits = |bytes: f64| SPEEDS.map(|gbits| (gbits, linerate::pps(gbits, bytes)));
    let fastest = |profile: &str| {
        let here = cells.iter().filter(|cell| cell.profile == profile);
        here.filter_map(|cell| Some(cell.pps?.max)).fold(0.0, f64::max)
    };
    let next = sizes.iter().filter_map(|(profile, bytes)| {
        limits(*bytes).into_iter().map(|(_, line)| line).find(|line| *line > fastest(profile))
    });
    let top = next.fold(high * 1.2, f64::max) * 1.25;
    let bottom = 390.0;
    let y = Scale::logarithmic((low * 0.7, top), (bottom, TOP));
    let mut drawing = Drawing::new(440.0, "Rate by engine and frame size against line rate");
    drawing.words("dim", (LEFT - 62.0, 16.0), "start", "Mpps, logarithmic");
    drawing.across(&y, (LEFT, RIGHT), |pps| mpps(pps, 3));
    let column = (RIGHT - LEFT) / sizes.len() as f64;
    for (at, (profile, bytes)) in sizes.iter().enumerate() {
        let from = LEFT + column * at as f64;
        let (start, end) = (from + column * 0.06, from + column * 0.94);
        for (gbits, pps) in limits(*bytes).into_iter().filter(|(_, p)| *p < top && *p > low * 0.7) {
            drawing.line("limit", (start, y.at(pps)), (end, y.at(pps)));
            drawing.words("dim", (end, y.at(pps) - 4.0), "end", &format!("{gbits:.0}G"));
        }
        let here = cells.iter().filter(|cell| cell.profile == *profile);
        for cell in here {
            let Some(pps) = cell.pps else { continue };
            let number = names.iter().position(|known| *known == name(cell)).unwrap_or(0);
            let step = (end - start - 24.0) / names.len() as f64;
            let x = start + step * (number as f64 + 0.5);
            drawing.stroke(number, (x, y.at(pps.min)), (x, y.at(pps.max)), 2.0);
            let line = linerate::pps(10.0, cell.frame_bytes);
            let words = format!(
                "{} at {}: {} Mpps ({} to {}), {} of 10G line rate",
                name(cell),
                cell.profile,
                mpps(pps.median, 3),
                mpps(pps.min, 3),
                mpps(pps.max, 3),
                percent(pps.median / line)
            );
            drawing.mark(number, (x, y.at(pps.median)), 5.5, &words);
        }
        drawing.words("", (from + column / 2.0, bottom + 20.0), "middle", profile);
    }
    drawing.line("axis", (LEFT, bottom), (RIGHT, bottom));
    let middle = f64::midpoint(LEFT, RIGHT);
    drawing.words("dim", (middle, drawing.height - 8.0), "middle", "frames, bytes with FCS");
    let caption = "Median over the repeats, with a line from the least to the most. Dashed: what media \
                   of 10 to 400 Gbit/s carry of such frames.";
    let sizes: Vec<(String, f64, f64)> = sizes
        .into_iter()
        .map(|(profile, bytes)| {
            let best = cells.iter().filter(|cell| cell.profile == profile);
            let best = best.filter_map(|cell| Some(cell.pps?.median)).fold(0.0, f64::max);
            (profile, bytes, best)
        })
        .collect();
    Some(figure(drawing, &names, caption) + &tables::line_rates(&sizes))
}

/// Median loss at each load that a search tried.
fn by_load(cell: &Measurement) -> Vec<(f64, f64)> {
    let mut loads: Vec<(f64, Vec<f64>)> = Vec::new();
    for trial in cell.trials.iter().filter(|trial| trial.valid()) {
        let Some(load) = trial.order.load else { continue };
        match loads.iter_mut().find(|(known, _)| (*known - load).abs() < 0.5) {
            Some((_, losses)) => losses.push(trial.loss_ratio()),
            None => loads.push((load, vec![trial.loss_ratio()])),
        }
    }
    // A search that only came near its result says nothing about how loss grows.
    let spans = loads.len() > 3;
    let medians =
        loads.into_iter().filter_map(|(load, losses)| Some((load, Summary::of(&losses)?.median)));
    if spans { medians.collect() } else { Vec::new() }
}

/// Loss against load: from the curve of RFC 2544 section 26.3, else from all trials with a load.
pub(super) fn loss(cells: &[&Measurement]) -> Option<String> {
    let points = |cell: &Measurement| -> Vec<(f64, f64)> {
        let mut points: Vec<(f64, f64)> = match &cell.search {
            Search::FrameLoss { steps, .. } => {
                steps.iter().map(|step| (step.load, step.loss_ratio.median)).collect()
            }
            _ => by_load(cell),
        };
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let curves: Vec<(&Measurement, Vec<(f64, f64)>)> =
        cells.iter().map(|cell| (*cell, points(cell))).filter(|(_, p)| p.len() > 1).collect();
    if curves.is_empty() {
        return None;
    }
    let all = || curves.iter().flat_map(|(_, points)| points.iter());
    let (far, most) = all().fold((0.0_f64, 0.0_f64), |(x, y), p| (x.max(p.0), y.max(p.1)));
    let bottom = 300.0;
    let x = Scale::linear((0.0, far * 1.02), (LEFT, RIGHT));
    let y = Scale::linear((0.0, (most * 1.08).max(0.01)), (bottom, TOP));
    let mut drawing = Drawing::new(350.0, "Loss against offered load");
    drawing.words("dim", (LEFT - 62.0, 16.0), "start", "frames lost");
    drawing.across(&y, (LEFT, RIGHT), percent);
    drawing.upwards(&x, (TOP, bottom), |load| mpps(load, 2));
    let names: Vec<String> = curves.iter().map(|(cell, _)| described(cell)).collect();
    for (number, (_, points)) in curves.iter().enumerate() {
        let places: Vec<(f64, f64)> = points.iter().map(|(a, b)| (x.at(*a), y.at(*b))).collect();
        drawing.path(number, &places);
        for (place, (load, lost)) in places.iter().zip(points) {
            let words =
                format!("{}: {} lost at {} Mpps", names[number], exact(*lost), mpps(*load, 3));
            drawing.mark(number, *place, 4.0, &words);
        }
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    drawing.words("dim", (middle, drawing.height - 8.0), "middle", "offered load, Mpps");
    let caption = "Median over the trials at each load. Frame loss is taken as RFC 2544 section 26.3 \
                   wants it, the other curves are the loads that a search tried.";
    Some(figure(drawing, &names, caption))
}

/// Latency by percentile.
pub(super) fn latency(cells: &[&Measurement]) -> Option<String> {
    let seen: Vec<(&Measurement, Percentiles)> = cells
        .iter()
        .filter_map(|cell| {
            // A trial beyond what the device takes says how long its queue is, not how fast it is.
            let beyond = matches!(cell.search, Search::FrameLoss { .. } | Search::BackToBack(_));
            let latency = cell.latency.as_ref().filter(|_| !beyond)?;
            let seen = latency.from_intended.unwrap_or(latency.from_sent);
            (seen.frames > 0).then_some((*cell, seen))
        })
        .collect();
    let values = |seen: &Percentiles| {
        [seen.min, seen.p50, seen.p90, seen.p99, seen.p99_9, seen.p99_99, seen.max]
            .map(|ns| (ns as f64).max(1.0))
    };
    let low = seen.iter().flat_map(|(_, seen)| values(seen)).fold(f64::INFINITY, f64::min);
    let high = seen.iter().flat_map(|(_, seen)| values(seen)).fold(0.0, f64::max);
    if high <= 0.0 {
        return None;
    }
    let labels = ["least", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "most"];
    let bottom = 300.0;
    let y = Scale::logarithmic((low * 0.7, high * 1.4), (bottom, TOP));
    let step = (RIGHT - LEFT) / labels.len() as f64;
    let mut drawing = Drawing::new(335.0, "Latency by percentile");
    drawing.words("dim", (LEFT - 62.0, 16.0), "start", "latency, logarithmic");
    drawing.across(&y, (LEFT, RIGHT), duration);
    for (at, label) in labels.iter().enumerate() {
        let x = LEFT + step * (at as f64 + 0.5);
        drawing.words("dim", (x, bottom + 20.0), "middle", label);
    }
    let names: Vec<String> = seen.iter().map(|(cell, _)| described(cell)).collect();
    for (number, (_, seen)) in seen.iter().enumerate() {
        let values = values(seen);
        let place = |(at, value): (usize, &f64)| (LEFT + step * (at as f64 + 0.5), y.at(*value));
        let places: Vec<(f64, f64)> = values.iter().enumerate().map(place).collect();
        drawing.path(number, &places);
        for ((place, value), label) in places.iter().zip(values).zip(labels) {
            let words = format!("{}: {label} {}", names[number], duration(value));
            drawing.mark(number, *place, 4.0, &words);
        }
    }
    drawing.line("axis", (LEFT, bottom), (RIGHT, bottom));
    let caption = "Of all frames of the trial with the median rate, from the time at which the \
                   schedule wanted them sent, where there was a schedule.";
    Some(figure(drawing, &names, caption))
}

/// How far the repeats of each cell lie apart.
pub(super) fn spread(cells: &[&Measurement]) -> Option<String> {
    let rows: Vec<(&Measurement, f64)> = cells
        .iter()
        .filter_map(|cell| Some((*cell, cell.pps?.median)))
        .filter(|(cell, median)| *median > 0.0 && cell.rates.len() > 1)
        .collect();
    if rows.is_empty() {
        return None;
    }
    let part = |rate: f64, median: f64| rate / median - 1.0;
    let most = rows
        .iter()
        .flat_map(|(cell, median)| cell.rates.iter().map(|rate| part(*rate, *median).abs()))
        .fold(0.01, f64::max);
    let left = 330.0;
    let height = 26.0;
    let bottom = TOP + height * rows.len() as f64;
    let x = Scale::linear((-most * 1.1, most * 1.1), (left, RIGHT));
    let mut drawing = Drawing::new(bottom + 50.0, "Run-to-run spread");
    drawing.upwards(&x, (TOP, bottom), |part| {
        let percent = part * 100.0;
        let places = usize::from(most < 0.02) + usize::from(most < 0.002);
        if percent.abs() < 1e-9 { "median".to_owned() } else { format!("{percent:+.places$} %") }
    });
    for (at, (cell, median)) in rows.iter().enumerate() {
        let y = TOP + height * (at as f64 + 0.5);
        drawing.words("", (left - 12.0, y + 4.0), "end", &shortened(&described(cell), 46));
        for rate in &cell.rates {
            let words = format!("{}: {} Mpps", described(cell), mpps(*rate, 4));
            drawing.mark(0, (x.at(part(*rate, *median)), y), 4.0, &words);
        }
    }
    let caption = "Every repeat that counts, as its distance from the median of its cell.";
    Some(figure(drawing, &[], caption))
}

/// A cell in a few words.
fn described(cell: &Measurement) -> String {
    let search = match &cell.search {
        Search::Maximum | Search::None => String::new(),
        Search::Soak { load } => format!(", soak at {} Mpps", mpps(*load, 3)),
        Search::Throughput { .. } => ", throughput".to_owned(),
        Search::Latency { load, .. } => format!(", latency at {} Mpps", mpps(*load, 3)),
        Search::FrameLoss { .. } => ", frame loss".to_owned(),
        Search::BackToBack(_) => ", back-to-back".to_owned(),
        Search::Mlr { goals, .. } => {
            let goal = goals.first().map_or("", |found| found.goal.name.as_str());
            format!(", {goal}")
        }
    };
    let cores = if cell.cores > 1 { format!(", {} cores", cell.cores) } else { String::new() };
    format!("{} {}, {}{cores}{search}", name(cell), cell.program, cell.profile)
}

/// Cut to that many characters.
fn shortened(words: &str, most: usize) -> String {
    if words.chars().count() <= most {
        return words.to_owned();
    }
    words.chars().take(most - 1).chain(['…']).collect()
}

/// A time in nanoseconds, in the unit that fits.
pub(super) fn duration(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let places = usize::from(value < 10.0 && value.fract() > 1e-9);
    format!("{value:.places$} {unit}")
}
