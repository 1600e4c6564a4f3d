//! A check in progress: what is looked at, and what was found.

use std::collections::BTreeSet;

use hoist_bpf::analysis::{TooLarge, Values};
use hoist_bpf::insn::Insn;
use hoist_bpf::module::{FunctionId, Inst, Module, ProgramHint, ProgramId};

use super::{Demand, Findings, Parameter, Parameters, Profile, ProgramType, Rule};
use crate::error::Gap;

/// One check of one program.
pub(super) struct Survey<'a> {
    pub(super) profile: &'a Profile,
    pub(super) parameters: &'a Parameters,
    pub(super) module: &'a Module,
    pub(super) program: ProgramId,
    pub(super) kind: ProgramType,
    gaps: Vec<(Rule, Place, Gap)>,
    demands: Vec<Demand>,
}

/// Order of gaps within a rule: by place in the code.
type Place = (u32, u32);

/// One instruction.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a> {
    pub(super) function: FunctionId,
    pub(super) position: usize,
    pub(super) inst: &'a Inst,
}

impl Spot<'_> {
    pub(super) const fn insn(&self) -> Insn {
        self.inst.insn
    }
}

impl<'a> Survey<'a> {
    pub(super) const fn new(
        profile: &'a Profile,
        parameters: &'a Parameters,
        module: &'a Module,
        program: ProgramId,
        kind: ProgramType,
    ) -> Self {
        Self { profile, parameters, module, program, kind, gaps: Vec::new(), demands: Vec::new() }
    }

    pub(super) fn finish(mut self) -> Findings {
        self.gaps.sort_by_key(|(rule, place, _)| (*rule, *place));
        let mut seen = BTreeSet::new();
        let fresh = |(_, place, gap): (Rule, Place, Gap)| {
            let key = (gap.code.clone(), place, gap.map.clone(), gap.message.clone());
            seen.insert(key).then_some(gap)
        };
        Findings { gaps: self.gaps.into_iter().filter_map(fresh).collect(), demands: self.demands }
    }

    /// Whether the profile has a rule.
    pub(super) fn enforced(&self, rule: Rule) -> bool {
        self.profile.rules.contains_key(&rule)
    }

    /// Every instruction that is loaded, reached or not.
    pub(super) fn spots(&self, values: &Values) -> impl Iterator<Item = Spot<'a>> + use<'a> {
        let module = self.module;
        values.functions.clone().into_iter().flat_map(move |function| {
            let code = module.function(function).code.iter().enumerate();
            code.map(move |(position, inst)| Spot { function, position, inst })
        })
    }

    /// A rule is broken by an instruction.
    pub(super) fn broken(&mut self, rule: Rule, spot: Spot<'_>, message: impl Into<String>) {
        if !self.enforced(rule) {
            return;
        }
        let mut gap = self.gap(rule, message);
        let function = self.module.function(spot.function);
        let before = &function.code[..spot.position];
        let slot: u32 = before.iter().map(|inst| inst.slots() as u32).sum();
        gap.insn = Some(format!("{}+{}", function.name, spot.inst.origin.unwrap_or(slot)));
        // Line 0 stands for code that belongs to no line.
        let line = spot.inst.line.and_then(|line| self.module.lines.get(line as usize));
        gap.line = line.filter(|line| line.line > 0).cloned();
        self.gaps.push((rule, (spot.function.0, spot.position as u32), gap));
    }

    /// A rule is broken by an instruction and a map.
    pub(super) fn broken_at_map(
        &mut self,
        rule: Rule,
        spot: Spot<'_>,
        map: &str,
        message: impl Into<String>,
    ) {
        let before = self.gaps.len();
        self.broken(rule, spot, message);
        if let Some((_, _, gap)) = self.gaps.get_mut(before) {
            gap.map = Some(map.to_owned());
        }
    }

    /// A rule is broken by a map.
    pub(super) fn broken_by_map(&mut self, rule: Rule, map: &str, message: impl Into<String>) {
        if self.enforced(rule) {
            let gap = Gap { map: Some(map.to_owned()), ..self.gap(rule, message) };
            self.gaps.push((rule, (u32::MAX, 0), gap));
        }
    }

    /// A rule is broken by the program as a whole.
    pub(super) fn broken_by_program(&mut self, rule: Rule, message: impl Into<String>) {
        if self.enforced(rule) {
            self.gaps.push((rule, (u32::MAX, 0), self.gap(rule, message)));
        }
    }

    fn gap(&self, rule: Rule, message: impl Into<String>) -> Gap {
        Gap {
            evidence: Some(self.profile.evidence(rule)),
            ..Gap::new(rule.code(), message).remedy(rule.remedy())
        }
    }

    /// A parameter of the firmware.
    pub(super) fn parameter(&self, name: &str) -> Option<Parameter> {
        self.profile.parameter(name, self.parameters)
    }

    /// Whether a parameter is known to be there and not 0.
    pub(super) fn has(&self, name: &str) -> bool {
        self.parameter(name).and_then(|p| p.value).is_some_and(|value| value > 0)
    }

    /// Notes that the program needs so much of a parameter. Returns the value that is too small,
    /// with where it comes from.
    pub(super) fn demand(&mut self, name: &str, needs: u64) -> Option<(u64, String)> {
        let parameter = self.parameter(name)?;
        let short = parameter.value.filter(|has| *has < needs);
        let words = format!("{}: {}", parameter.origin, parameter.source);
        match self.demands.iter_mut().find(|d| d.parameter == name) {
            Some(known) => known.needs = known.needs.max(needs),
            None => self.demands.push(Demand {
                parameter: name.to_owned(),
                about: parameter.about,
                unit: parameter.unit,
                needs,
                has: parameter.value,
                origin: parameter.origin,
                source: parameter.source,
            }),
        }
        short.map(|has| (has, words))
    }

    /// What the program says of itself.
    pub(super) fn program_type(&mut self) {
        let Some(program) = self.module.programs.get(self.program.0 as usize) else { return };
        let (name, section) = (&program.name, &program.section);
        let wrong = match program.hint {
            ProgramHint::XdpDevmap | ProgramHint::XdpCpumap => Some("runs for entries of a map"),
            ProgramHint::Other if self.kind == ProgramType::Xdp => Some("is no XDP program"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            let text = format!(
                "{name} (section {section:?}) {wrong}; bpf_prog_dev_bound_init takes XDP programs of interfaces and classifiers"
            );
            self.broken_by_program(Rule::ProgramType, text);
        }
        if program.frags {
            let text = format!(
                "{name} (section {section:?}) declares multi-buffer frames (BPF_F_XDP_HAS_FRAGS), which the kernel refuses with an offloaded program"
            );
            self.broken_by_program(Rule::Frags, text);
        }
    }

    /// Nothing can be said of the code.
    pub(super) fn too_large(&mut self, error: &TooLarge) {
        let gap = Gap::new("translation-too-large", error.to_string());
        self.gaps.push((Rule::Length, (u32::MAX, 0), gap));
    }
}
