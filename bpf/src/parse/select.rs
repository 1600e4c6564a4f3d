//! Which program of an object is meant.

use crate::module::{Module, Program, ProgramHint, ProgramId};

/// What the user said about the program wanted: `-n PROG`, `-s SECTION`, both or neither.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Function name of the program.
    pub program: Option<String>,
    /// ELF section of the program.
    pub section: Option<String>,
}

/// Why no single program could be picked. Lists hold what the object has, the likeliest first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// No program of that name.
    #[error("{object} has no program '{wanted}'; it has {}", list(.have))]
    NoSuchProgram {
        /// The object file.
        object: String,
        /// What was asked for.
        wanted: String,
        /// Programs as `name (section)`.
        have: Vec<String>,
    },
    /// No program in a section of that name.
    #[error("{object} has no program in section '{wanted}'; it has {}", list(.have))]
    NoSuchSection {
        /// The object file.
        object: String,
        /// What was asked for.
        wanted: String,
        /// Programs as `name (section)`.
        have: Vec<String>,
    },
    /// No section says XDP, and every one says something else.
    #[error("{object} has no XDP program; it has {}", list(.have))]
    NotXdp {
        /// The object file.
        object: String,
        /// Programs as `name (section)`.
        have: Vec<String>,
    },
    /// Several programs fit.
    #[error("{object} has several programs that fit: {}; choose one with -n NAME", list(.have))]
    Ambiguous {
        /// The object file.
        object: String,
        /// Programs as `name (section)`.
        have: Vec<String>,
    },
}

/// Longest list of names that a message shows.
const SHOWN: usize = 12;

fn list(have: &[String]) -> String {
    if have.is_empty() {
        return "no program at all".to_owned();
    }
    let mut text = have.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if have.len() > SHOWN {
        text.push_str(&format!(" and {} more", have.len() - SHOWN));
    }
    text
}

impl Module {
    /// The program a selector names. Without name and section, a lone program is meant, else the
    /// only one whose section says XDP, else the only one whose section does not say otherwise.
    /// A program whose section says another type is meant only when it is named.
    ///
    /// # Errors
    /// That no program fits, or several do, with the programs there are.
    pub fn select(&self, selector: &Selector) -> Result<ProgramId, SelectError> {
        let Selector { program, section } = selector;
        let in_section: Vec<_> = self
            .program_ids()
            .filter(|(_, p)| section.as_ref().is_none_or(|s| p.section == *s))
            .collect();
        if let (Some(wanted), true) = (section, in_section.is_empty()) {
            return Err(SelectError::NoSuchSection {
                object: self.name.clone(),
                wanted: wanted.clone(),
                have: self.nearest(wanted, |p| &p.section),
            });
        }
        if let Some(wanted) = program {
            let found = in_section.iter().find(|(_, p)| p.name == *wanted);
            return found.map(|(id, _)| *id).ok_or_else(|| SelectError::NoSuchProgram {
                object: self.name.clone(),
                wanted: wanted.clone(),
                have: self.nearest(wanted, |p| &p.name),
            });
        }
        if section.is_none() && in_section.iter().all(|(_, p)| p.hint == ProgramHint::Other) {
            return Err(SelectError::NotXdp {
                object: self.name.clone(),
                have: in_section.iter().map(|(_, p)| describe(p)).collect(),
            });
        }
        let hinted = |wanted: &[ProgramHint]| {
            let mut fitting = in_section.iter().filter(|(_, p)| wanted.contains(&p.hint));
            fitting.next().filter(|_| fitting.next().is_none()).map(|(id, _)| *id)
        };
        if let [(id, _)] = in_section[..] {
            return Ok(id);
        }
        let any_xdp = in_section.iter().any(|(_, p)| p.hint == ProgramHint::Xdp);
        hinted(&[ProgramHint::Xdp])
            .or_else(|| hinted(&[ProgramHint::Unknown]).filter(|_| !any_xdp))
            .ok_or_else(|| SelectError::Ambiguous {
                object: self.name.clone(),
                have: in_section.iter().map(|(_, p)| describe(p)).collect(),
            })
    }

    fn program_ids(&self) -> impl Iterator<Item = (ProgramId, &Program)> {
        self.programs.iter().enumerate().map(|(i, p)| (ProgramId(i as u32), p))
    }

    fn nearest(&self, wanted: &str, key: impl Fn(&Program) -> &str) -> Vec<String> {
        let mut programs: Vec<_> = self
            .programs
            .iter()
            .map(|p| ((strsim::jaro_winkler(wanted, key(p)) * 1e6) as u64, describe(p)))
            .collect();
        programs.sort_by_key(|(likeness, _)| std::cmp::Reverse(*likeness));
        programs.into_iter().map(|(_, text)| text).collect()
    }
}

fn describe(program: &Program) -> String {
    use super::shorten;
    format!("{} (section {})", shorten(&program.name), shorten(&program.section))
}
