//! CO-RE: relocations of struct offsets, sizes, types and enumerators against the kernel's BTF.

mod compare;
mod patch;
mod spec;
mod value;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{ResolveError, TargetBtf};
use crate::btf::{Btf, Type};
use crate::module::{CoreRelocation, FunctionId, InstId, Module};
pub(super) use compare::Comparison;
use spec::Spec;
use value::Answer;

/// `enum bpf_core_relo_kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    FieldByteOffset,
    FieldByteSize,
    FieldExists,
    FieldSigned,
    FieldLshift,
    FieldRshift,
    TypeIdLocal,
    TypeIdTarget,
    TypeExists,
    TypeSize,
    EnumvalExists,
    EnumvalValue,
    TypeMatches,
}

impl Kind {
    const ALL: [(Self, &'static str); 13] = [
        (Self::FieldByteOffset, "byte_off"),
        (Self::FieldByteSize, "byte_sz"),
        (Self::FieldExists, "field_exists"),
        (Self::FieldSigned, "signed"),
        (Self::FieldLshift, "lshift_u64"),
        (Self::FieldRshift, "rshift_u64"),
        (Self::TypeIdLocal, "local_type_id"),
        (Self::TypeIdTarget, "target_type_id"),
        (Self::TypeExists, "type_exists"),
        (Self::TypeSize, "type_size"),
        (Self::EnumvalExists, "enumval_exists"),
        (Self::EnumvalValue, "enumval_value"),
        (Self::TypeMatches, "type_matches"),
    ];

    fn from_raw(raw: u32) -> Option<Self> {
        Self::ALL.get(raw as usize).map(|(kind, _)| *kind)
    }

    fn name(raw: u32) -> &'static str {
        Self::ALL.get(raw as usize).map_or("of unknown kind", |(_, name)| name)
    }

    fn is_type(self) -> bool {
        matches!(
            self,
            Self::TypeIdLocal
                | Self::TypeIdTarget
                | Self::TypeExists
                | Self::TypeSize
                | Self::TypeMatches
        )
    }

    fn is_enumerator(self) -> bool {
        matches!(self, Self::EnumvalExists | Self::EnumvalValue)
    }
}

/// What is wrong with a relocation.
type Problem = &'static str;

/// Whether a relocation of this kind looks at the kernel's types at all.
pub(super) fn needs_target(kind: u32) -> bool {
    Kind::from_raw(kind) != Some(Kind::TypeIdLocal)
}

/// Applies all relocations of a module to its instructions.
pub(super) fn apply(
    module: &mut Module,
    local: &Btf,
    target: &TargetBtf,
    relocations: &[CoreRelocation],
) -> Result<(), ResolveError> {
    let mut candidates = HashMap::new();
    let mut poisoned: BTreeMap<FunctionId, HashSet<InstId>> = BTreeMap::new();
    for relocation in relocations {
        let Some(function) = module.functions.get_mut(relocation.function.0 as usize) else {
            continue;
        };
        let name = local.type_by_id(relocation.type_id).map_or("", Type::name);
        let error = |problem: String| ResolveError::Relocation {
            function: function.name.clone(),
            slot: relocation.inst.0,
            kind: Kind::name(relocation.kind),
            type_name: name.to_owned(),
            access: relocation.access.clone(),
            problem,
        };
        let kind = Kind::from_raw(relocation.kind)
            .ok_or_else(|| error(format!("kind {} is unknown", relocation.kind)))?;
        let answer = if kind == Kind::TypeIdLocal {
            Answer::local_id(relocation.type_id)
        } else {
            let Some(target) = target.btf() else {
                return Err(ResolveError::NoKernelBtf {
                    function: function.name.clone(),
                    type_name: name.to_owned(),
                });
            };
            let list = candidates
                .entry(relocation.type_id)
                .or_insert_with(|| find_candidates(local, relocation.type_id, target));
            let question = Question { kind, relocation, local, target };
            question.answer(list).map_err(|problem| error(problem.to_owned()))?
        };
        let Some(at) = function.position(relocation.inst) else {
            return Err(error("no such instruction".to_owned()));
        };
        let fate = patch::apply(&mut function.code[at], &answer).map_err(error)?;
        if fate == patch::Fate::PoisonedWide {
            poisoned.entry(relocation.function).or_default().insert(relocation.inst);
        }
    }
    for (function, poisoned) in poisoned {
        patch::fill_second_slots(&mut module.functions[function.0 as usize], &poisoned);
    }
    Ok(())
}

/// A type's name without `___flavor`.
pub(super) fn essential(name: &str) -> &str {
    let bytes = name.as_bytes();
    let separator = |w: &[u8]| w[0] != b'_' && &w[1..4] == b"___" && w[4] != b'_';
    match bytes.windows(5).rposition(separator) {
        // The character before `___` may be the last byte of a longer one.
        Some(at) => name.get(..=at).unwrap_or(name),
        None => name,
    }
}

/// Types of the kernel that may stand for a local type: the same kind and essential name.
fn find_candidates(local: &Btf, type_id: u32, target: &Btf) -> Vec<u32> {
    let Some(wanted) = local.type_by_id(type_id) else { return Vec::new() };
    let name = essential(wanted.name());
    if name.is_empty() {
        return Vec::new();
    }
    let kind = wanted.kind();
    target
        .types()
        .filter(|t| t.kind() == kind || (t.kind().is_enum() && kind.is_enum()))
        .filter(|t| t.name_starts_with(name) && essential(t.name()) == name)
        .map(Type::id)
        .collect()
}

/// One relocation, asked of one kernel.
struct Question<'a> {
    kind: Kind,
    relocation: &'a CoreRelocation,
    local: &'a Btf,
    target: &'a Btf,
}

impl Question<'_> {
    /// The answer all candidates agree on. Candidates that did not match are dropped for good, so
    /// that later relocations of the same type follow the same candidate.
    fn answer(&self, candidates: &mut Vec<u32>) -> Result<Answer, Problem> {
        let local = Spec::parse(self.local, self.kind, self.relocation)?;
        if self.local.type_by_id(self.relocation.type_id).is_none_or(|t| t.name().is_empty()) {
            return Err("anonymous types cannot be relocated");
        }
        let comparison = Comparison::new(self.local, self.target);
        let mut found: Option<(Answer, u32)> = None;
        let mut matching = Vec::new();
        for &id in candidates.iter() {
            let Some(spec) = local.match_type(&comparison, id)? else { continue };
            let answer = value::answer(self.kind, &local, Some(&spec))?;
            match &found {
                None => found = Some((answer, spec.bit_offset)),
                Some((_, offset)) if *offset != spec.bit_offset => {
                    return Err(
                        "the kernel has several such types with the field at other offsets",
                    );
                }
                Some((first, _)) if !first.same_decision(&answer) => {
                    return Err("the kernel has several such types that answer differently");
                }
                Some(_) => {}
            }
            matching.push(id);
        }
        match found {
            Some((answer, _)) => {
                *candidates = matching;
                Ok(answer)
            }
            None => value::answer(self.kind, &local, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::essential;

    #[test]
    fn flavours_are_cut_at_the_last_triple_underscore() {
        let cases = [
            ("task_struct", "task_struct"),
            ("task_struct___old", "task_struct"),
            ("a___b___c", "a___b"),
            ("a____b", "a____b"),
            ("___b", "___b"),
            ("a___", "a___"),
            ("", ""),
        ];
        for (name, expected) in cases {
            assert_eq!(essential(name), expected, "{name}");
        }
    }
}
