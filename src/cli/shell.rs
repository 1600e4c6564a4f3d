//! The one object through which everything is printed. The product goes to stdout, talk to stderr.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use indicatif::ProgressBar;
use serde::Serialize;

use super::args::{Color, Format, Global};
use super::failure::{Failure, Words};
use super::render::style;

/// Bytes of a document that are written at once.
const DOCUMENT_PIECE: usize = 64 << 10;

/// Where output goes, and in which form.
pub(super) struct Shell {
    out: Box<dyn Write + Send + Sync>,
    err: Box<dyn Write + Send + Sync>,
    format: Format,
    quiet: bool,
    verbose: u8,
    live: bool,
    /// Lines of the block that the next one overwrites.
    drawn: usize,
    /// Whether documents stand on lines of their own, so that a reader can go line by line.
    streaming: bool,
}

impl fmt::Debug for Shell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell").field("format", &self.format).finish_non_exhaustive()
    }
}

impl Shell {
    /// A shell on the process's own streams.
    pub(super) fn new(global: &Global) -> Self {
        let choice = match global.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        };
        // Documents hold no colours that might have to be taken out, and may be long.
        let plain = if global.format() == Format::Json { ColorChoice::AlwaysAnsi } else { choice };
        let terminal = io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_none_or(|t| t == "dumb");
        Self {
            out: Box::new(AutoStream::new(io::stdout(), plain)),
            err: Box::new(AutoStream::new(io::stderr(), choice)),
            format: global.format(),
            quiet: global.quiet,
            verbose: global.verbose,
            live: terminal && !dumb,
            drawn: 0,
            streaming: false,
        }
    }

    /// Whether documents are wanted rather than text.
    pub(super) fn json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether more is to be said.
    pub(super) fn verbose(&self) -> bool {
        self.verbose > 0
    }

    /// Prints text that ends without a line break.
    ///
    /// # Errors
    /// stdout cannot be written.
    pub(super) fn print(&mut self, text: impl fmt::Display) -> Result<(), Failure> {
        self.drawn = 0;
        writeln!(self.out, "{text}")?;
        Ok(self.out.flush()?)
    }

    /// Prints one JSON document, indented; on one line behind others that are.
    ///
    /// # Errors
    /// stdout cannot be written.
    pub(super) fn document(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        if self.streaming {
            return self.line(value);
        }
        self.drawn = 0;
        // A probe's document is long; growing it as one string would copy it over and over.
        let mut out = BufWriter::with_capacity(DOCUMENT_PIECE, &mut self.out);
        serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
        writeln!(out)?;
        Ok(out.flush()?)
    }

    /// Prints one JSON document on one line: for streams.
    ///
    /// # Errors
    /// stdout cannot be written.
    pub(super) fn line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.streaming = true;
        self.print(text)
    }

    /// Prints a block that the next block overwrites; where stdout is no terminal, nothing is
    /// overwritten and `line` is printed instead.
    ///
    /// # Errors
    /// stdout cannot be written.
    pub(super) fn refresh(&mut self, block: &str, line: &str) -> Result<(), Failure> {
        if !self.live {
            return self.print(line);
        }
        if self.drawn > 0 {
            write!(self.out, "\x1b[{}A\x1b[J", self.drawn)?;
        }
        writeln!(self.out, "{block}")?;
        self.drawn = block.lines().count();
        Ok(self.out.flush()?)
    }

    /// Says something on stderr, unless quiet. A failing stderr is nobody's concern.
    pub(super) fn say(&mut self, text: impl fmt::Display) {
        if !self.quiet {
            let _ = writeln!(self.err, "{text}");
        }
    }

    /// Says what is being waited for: on a terminal until the returned bar is dropped, which clears
    /// it, else as a line.
    pub(super) fn busy(&mut self, text: String) -> Option<ProgressBar> {
        if self.quiet || !io::stderr().is_terminal() || !self.live {
            self.say(text);
            return None;
        }
        let bar = ProgressBar::new_spinner().with_message(text);
        bar.enable_steady_tick(Duration::from_millis(100));
        Some(bar)
    }

    /// Warns on stderr, unless quiet.
    pub(super) fn warn(&mut self, text: impl fmt::Display) {
        let s = style::WARN;
        self.say(format_args!("{s}warning{s:#}: {text}"));
    }

    /// Tells an error on stderr, whatever the options say.
    pub(super) fn error(&mut self, words: &Words) {
        let s = style::BAD;
        let _ = writeln!(self.err, "{s}error{s:#}: {}", words.error);
        if let Some(log) = words.log.as_ref().filter(|_| self.verbose()) {
            let _ = writeln!(self.err, "{}", log.trim_end());
        }
        if let Some(next) = &words.next {
            let s = style::GOOD;
            let _ = writeln!(self.err, "{s}next{s:#}: {next}");
        }
    }
}

impl Global {
    /// The output format.
    pub(crate) fn format(&self) -> Format {
        match self.output {
            Some(format) => format,
            None if self.json => Format::Json,
            None => Format::Text,
        }
    }
}
