//! Tables and paragraphs that fit the width.

use super::style::{HEAD, paint};

/// Columns of a screen.
pub(crate) const WIDTH: usize = 100;

/// A table: columns as wide as their widest cell, separated by two spaces; the last one wraps.
#[derive(Debug, Default)]
pub(crate) struct Table {
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
    indent: usize,
}

impl Table {
    /// A table with a heading. A name that starts with `>` heads a right-aligned column.
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            right: head.iter().map(|h| h.starts_with('>')).collect(),
            head: head.iter().map(|h| h.trim_start_matches('>').to_owned()).collect(),
            ..Self::default()
        }
    }

    /// A table of names and texts without a heading, indented.
    pub(crate) fn pairs(indent: usize) -> Self {
        Self { indent, ..Self::default() }
    }

    /// Adds a row.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The text, without a line break at the end.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().chain([&self.head]).map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&self.head]);
            cells.filter_map(|r| r.get(column)).map(|c| visible(c)).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut lines = Vec::new();
        if !self.head.is_empty() {
            let painted: Vec<String> = self.head.iter().map(|h| paint(HEAD, h)).collect();
            self.layout(&painted, &widths, &mut lines);
        }
        for row in &self.rows {
            self.layout(row, &widths, &mut lines);
        }
        lines.join("\n")
    }

    fn layout(&self, row: &[String], widths: &[usize], lines: &mut Vec<String>) {
        let mut line = " ".repeat(self.indent);
        let last = row.len().saturating_sub(1);
        for (i, cell) in row.iter().enumerate() {
            let pad = widths[i].saturating_sub(visible(cell));
            let right = self.right.get(i).copied().unwrap_or(false);
            if i == last && !right {
                let start = visible(&line);
                let mut parts = wrap(cell, WIDTH.saturating_sub(start).max(20)).into_iter();
                line.push_str(&parts.next().unwrap_or_default());
                lines.push(std::mem::take(&mut line).trim_end().to_owned());
                lines.extend(parts.map(|p| format!("{}{p}", " ".repeat(start))));
                return;
            }
            if right {
                line.push_str(&" ".repeat(pad));
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&" ".repeat(pad));
            }
            if i != last {
                line.push_str("  ");
            }
        }
        lines.push(line.trim_end().to_owned());
    }
}

/// A paragraph with every line indented, wrapped to the width.
pub(crate) fn paragraph(indent: usize, text: &str) -> String {
    let pad = " ".repeat(indent);
    let lines = text.lines().flat_map(|l| wrap(l, WIDTH - indent));
    lines.map(|l| format!("{pad}{l}")).collect::<Vec<_>>().join("\n")
}

/// Breaks at spaces; a word longer than the width keeps a line of its own, so that commands and
/// paths can be copied.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && visible(&line) + 1 + visible(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// Characters that take a column: escape sequences do not.
pub(crate) fn visible(text: &str) -> usize {
    let mut escape = false;
    text.chars()
        .filter(|c| {
            let was = escape;
            escape = if was { *c != 'm' } else { *c == '\x1b' };
            !was && !escape
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_one_wraps() {
        let mut table = Table::new(&["name", ">count", "why"]);
        table.row(["a", "1", "x"]);
        table.row([paint(HEAD, "long").as_str(), "1000", &"word ".repeat(30)]);
        let text = anstream::adapter::strip_str(&table.render()).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "name  count  why");
        assert_eq!(lines[1], "a         1  x");
        assert!(lines[2].starts_with("long   1000  word"));
        assert!(lines[3].starts_with("             word"), "{}", lines[3]);
        assert!(lines.iter().all(|l| l.chars().count() <= WIDTH));
    }
}
