//! Colours, all from the terminal's own sixteen. The shell strips them where none are wanted.

use anstyle::AnsiColor;
pub(crate) use anstyle::Style;

/// Yes, chosen, the next step.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// No, an error.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Unknown, a warning.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Headings.
pub(crate) const HEAD: Style = Style::new().bold();
/// What may be skipped.
pub(crate) const DIM: Style = Style::new().dimmed();

/// A text in a style.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}
