//! The little of SVG that charts need: scales, axes, marks. Colours come from the page's style, so that
//! light and dark are the same drawing.

use std::fmt::Write as _;

use super::text;

/// Width of every chart, in the units of its view box.
pub(super) const WIDTH: f64 = 980.0;

/// How values become places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    logarithmic: bool,
    /// Where `low` and `high` lie.
    from: f64,
    to: f64,
}

impl Scale {
    /// From `low` to `high` in equal steps.
    pub(super) fn linear((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, logarithmic: false, from, to }
    }

    /// From `low` to `high` in equal proportions; both are above zero.
    pub(super) fn logarithmic((low, high): (f64, f64), (from, to): (f64, f64)) -> Self {
        let low = low.max(f64::MIN_POSITIVE);
        let high = if high > low { high } else { low * 10.0 };
        Self { low, high, logarithmic: true, from, to }
    }

    /// Where a value lies; what is beyond the ends lies on them.
    pub(super) fn at(&self, value: f64) -> f64 {
        let (low, high, value) = match self.logarithmic {
            true => (self.low.ln(), self.high.ln(), value.max(self.low).ln()),
            false => (self.low, self.high, value),
        };
        let part = ((value - low) / (high - low)).clamp(0.0, 1.0);
        part.mul_add(self.to - self.from, self.from)
    }

    /// Values worth a line.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if !self.logarithmic {
            let raw = (self.high - self.low) / 6.0;
            let decade = 10_f64.powf(raw.log10().floor());
            let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|n| n * decade);
            let step = step.into_iter().find(|step| *step >= raw).unwrap_or(raw);
            let first = (self.low / step).ceil() as i64;
            let last = (self.high / step + 1e-9).floor() as i64;
            return (first..=last).map(|n| n as f64 * step).collect();
        }
        let decades = self.high.log10() - self.low.log10();
        let parts: &[f64] = if decades <= 2.2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let (first, last) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        (first..=last)
            .flat_map(|power| parts.iter().map(move |part| part * 10_f64.powi(power)))
            .filter(|tick| *tick >= self.low * 0.999 && *tick <= self.high * 1.001)
            .collect()
    }
}

/// A drawing in the making.
pub(super) struct Drawing {
    out: String,
    pub height: f64,
}

impl Drawing {
    /// An empty one; `title` is read out where the drawing cannot be seen.
    pub(super) fn new(height: f64, title: &str) -> Self {
        let out = format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
            text(title)
        );
        Self { out, height }
    }

    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        let _ = write!(
            self.out,
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        );
    }

    /// A stroke in the colour of a series.
    pub(super) fn stroke(&mut self, series: usize, from: (f64, f64), to: (f64, f64), width: f64) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let colour = colour(series);
        let _ = write!(
            self.out,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" \
             stroke=\"{colour}\" stroke-width=\"{width}\"/>"
        );
    }

    /// Points joined.
    pub(super) fn path(&mut self, series: usize, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let colour = colour(series);
        let _ = write!(
            self.out,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
            points.join(" ")
        );
    }

    /// The mark of a series, with words that appear when it is pointed at.
    pub(super) fn mark(&mut self, series: usize, (x, y): (f64, f64), size: f64, words: &str) {
        let words = text(words);
        let shape = shape(series, x, y, size);
        let _ = write!(self.out, "<g>{shape}<title>{words}</title></g>");
    }

    /// Words; `anchor` is `start`, `middle` or `end`.
    pub(super) fn words(&mut self, class: &str, (x, y): (f64, f64), anchor: &str, words: &str) {
        let words = text(words);
        let _ = write!(
            self.out,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
        );
    }

    /// Lines across at every tick, with their values at the left.
    pub(super) fn across(
        &mut self,
        scale: &Scale,
        (x1, x2): (f64, f64),
        say: impl Fn(f64) -> String,
    ) {
        for tick in scale.ticks() {
            let y = scale.at(tick);
            self.line("grid", (x1, y), (x2, y));
            self.words("dim", (x1 - 8.0, y + 4.0), "end", &say(tick));
        }
    }

    /// Lines upwards at every tick, with their values below.
    pub(super) fn upwards(
        &mut self,
        scale: &Scale,
        (y1, y2): (f64, f64),
        say: impl Fn(f64) -> String,
    ) {
        for tick in scale.ticks() {
            let x = scale.at(tick);
            self.line("grid", (x, y1), (x, y2));
            self.words("dim", (x, y2 + 18.0), "middle", &say(tick));
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push_str("</svg>");
        self.out
    }
}

/// The colour of a series.
fn colour(series: usize) -> String {
    format!("var(--c{})", series % 8)
}

/// The mark of a series: its form tells it apart where its colour does not.
fn shape(series: usize, x: f64, y: f64, size: f64) -> String {
    let colour = colour(series);
    let (left, right, up, down) = (x - size, x + size, y - size, y + size);
    match series % 4 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{size}\" fill=\"{colour}\"/>"),
        1 => format!(
            "<rect x=\"{left:.1}\" y=\"{up:.1}\" width=\"{0}\" height=\"{0}\" fill=\"{colour}\"/>",
            size * 2.0
        ),
        2 => format!(
            "<polygon points=\"{x:.1},{up:.1} {right:.1},{down:.1} {left:.1},{down:.1}\" \
             fill=\"{colour}\"/>"
        ),
        _ => format!(
            "<polygon points=\"{x:.1},{up:.1} {right:.1},{y:.1} {x:.1},{down:.1} {left:.1},{y:.1}\" \
             fill=\"{colour}\"/>"
        ),
    }
}

/// What each series is.
pub(super) fn legend(names: &[String]) -> String {
    let mut out = String::from("<ul class=\"legend\">");
    for (series, name) in names.iter().enumerate() {
        let shape = shape(series, 8.0, 6.0, 5.0);
        let name = text(name);
        let _ = write!(
            out,
            "<li><svg viewBox=\"0 0 16 12\" aria-hidden=\"true\">{shape}</svg>{name}</li>"
        );
    }
    out.push_str("</ul>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_place_values_and_know_round_ones() {
        let linear = Scale::linear((0.0, 10.0), (100.0, 0.0));
        assert_eq!((linear.at(0.0), linear.at(2.5), linear.at(99.0)), (100.0, 75.0, 0.0));
        assert_eq!(linear.ticks(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        let logarithmic = Scale::logarithmic((1.0, 100.0), (0.0, 100.0));
        assert_eq!((logarithmic.at(10.0), logarithmic.at(0.0)), (50.0, 0.0));
        assert_eq!(logarithmic.ticks(), [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]);
        let wide = Scale::logarithmic((1.0, 1e6), (0.0, 1.0));
        assert_eq!(wide.ticks().len(), 7);
        let flat = Scale::linear((3.0, 3.0), (0.0, 1.0));
        assert!(flat.at(3.0).is_finite() && !flat.ticks().is_empty());
    }
}
