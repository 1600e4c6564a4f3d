//! What a medium can carry: frames per second, time per frame and data rate, by speed and frame size.
//!
//! A frame of Ethernet occupies the wire for its own bytes, FCS included, and 20 more: preamble 7, start
//! of frame 1, gap 12 (IEEE 802.3 clause 4.4.2; RFC 2544 appendix B).

use serde::{Deserialize, Serialize};

mod size;

pub use size::{BadSize, Size};

/// The value of [`Table::schema`].
pub const SCHEMA: &str = "hoist.bench-linerate.v1";

/// Bytes on the wire beside each frame.
pub const OVERHEAD: f64 = 20.0;

/// The speeds asked for most, in Gbit/s.
pub const SPEEDS: [f64; 6] = [10.0, 25.0, 40.0, 100.0, 200.0, 400.0];

/// Frames per second at a speed in Gbit/s, for frames of that many bytes on average, FCS included.
#[must_use]
pub fn pps(gbits: f64, frame_bytes: f64) -> f64 {
    gbits * 1e9 / (8.0 * (frame_bytes + OVERHEAD))
}

/// One size at one speed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Gbit/s on the wire.
    pub gbits: f64,
    /// Frames per second.
    pub pps: f64,
    /// Time of one frame, in nanoseconds.
    pub nanoseconds: f64,
    /// Gbit/s of the frames themselves, FCS included, without preamble and gap.
    pub frame_gbits: f64,
}

impl Cell {
    /// What a medium carries of such frames.
    #[must_use]
    pub fn of(gbits: f64, frame_bytes: f64) -> Self {
        let pps = pps(gbits, frame_bytes);
        Self { gbits, pps, nanoseconds: 1e9 / pps, frame_gbits: pps * frame_bytes * 8.0 / 1e9 }
    }
}

/// One size at all speeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The size as it was asked for.
    pub size: Size,
    /// Mean bytes of a frame, FCS included.
    pub frame_bytes: f64,
    /// One per speed.
    pub cells: Vec<Cell>,
}

/// Sizes by speeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// [`SCHEMA`].
    pub schema: String,
    /// One per size.
    pub rows: Vec<Row>,
}

impl Table {
    /// Every size at every speed, in Gbit/s.
    #[must_use]
    pub fn of(sizes: &[Size], speeds: &[f64]) -> Self {
        let row = |size: &Size| {
            let frame_bytes = size.mean();
            let cells = speeds.iter().map(|gbits| Cell::of(*gbits, frame_bytes)).collect();
            Row { size: size.clone(), frame_bytes, cells }
        };
        Self { schema: SCHEMA.to_owned(), rows: sizes.iter().map(row).collect() }
    }

    /// As text: a line per size, `Mpps (ns)` per speed.
    #[must_use]
    pub fn text(&self) -> String {
        let speeds = self.rows.first().map(|row| row.cells.as_slice()).unwrap_or_default();
        let mut lines = vec![vec!["frame".to_owned()]];
        lines[0].extend(speeds.iter().map(|cell| format!("{}G", trimmed(cell.gbits))));
        for row in &self.rows {
            let mut line = vec![row.size.to_string()];
            line.extend(row.cells.iter().map(|cell| {
                let mpps = cell.pps / 1e6;
                format!("{mpps:.3} Mpps ({} ns)", significant(cell.nanoseconds))
            }));
            lines.push(line);
        }
        let columns = lines[0].len();
        let widths: Vec<usize> = (0..columns)
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
            .collect();
        let joined = lines.iter().map(|line| {
            let cells = line.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
                if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        });
        joined.collect::<Vec<_>>().join("\n")
    }
}

/// Four digits that mean something.
fn significant(value: f64) -> String {
    let digits = if value > 0.0 { value.log10().floor() as i32 } else { 0 };
    let places = usize::try_from(3 - digits).unwrap_or(0).min(6);
    format!("{value:.places$}")
}

/// A speed without zeros that say nothing.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
