//! Which field, type or enumerator a relocation is about, on either side.

use super::compare::Comparison;
use super::{Kind, Problem, essential};
use crate::btf::{Btf, Type};
use crate::module::CoreRelocation;

/// Longest access path (`BPF_CORE_SPEC_MAX_LEN`).
const MAX_PATH: usize = 64;

/// One step of an access path that means something: a named field or an array index.
#[derive(Clone, Copy)]
pub(super) struct Step<'b> {
    /// The struct for a field, the element type for an index, the enumeration for an enumerator.
    pub(super) type_id: u32,
    pub(super) index: u32,
    /// Name of field or enumerator; `None` for an array index.
    pub(super) name: Option<&'b str>,
}

/// An access path resolved against one side's types.
pub(super) struct Spec<'b> {
    pub(super) btf: &'b Btf,
    pub(super) kind: Kind,
    pub(super) root: u32,
    pub(super) steps: Vec<Step<'b>>,
    /// Steps of the low-level path, anonymous structs included.
    depth: usize,
    pub(super) bit_offset: u32,
}

const TOO_DEEP: Problem = "the access path is too deep";
const TOO_FAR: Problem = "the offset does not fit 32 bits";
const DAMAGED: Problem = "the access path does not fit the type";

impl<'b> Spec<'b> {
    /// Follows the path through the local types.
    pub(super) fn parse(
        btf: &'b Btf,
        kind: Kind,
        relocation: &CoreRelocation,
    ) -> Result<Self, Problem> {
        let root = relocation.type_id;
        let mut spec = Self { btf, kind, root, steps: Vec::new(), depth: 0, bit_offset: 0 };
        if btf.type_by_id(root).is_none() {
            return Err("the local type does not exist");
        }
        if kind.is_type() {
            return if relocation.access == "0" { Ok(spec) } else { Err(DAMAGED) };
        }
        let mut path = Vec::new();
        for step in relocation.access.split(':') {
            if path.len() == MAX_PATH {
                return Err(TOO_DEEP);
            }
            path.push(step.parse::<u32>().map_err(|_| DAMAGED)?);
        }
        let (&first, rest) = path.split_first().ok_or(DAMAGED)?;
        let start = btf.strip(root).ok_or(DAMAGED)?;
        if kind.is_enumerator() {
            let value = start.enumerators().nth(first as usize).ok_or(DAMAGED)?;
            if !rest.is_empty() {
                return Err(DAMAGED);
            }
            spec.steps.push(Step { type_id: start.id(), index: first, name: Some(value.name) });
            return Ok(spec);
        }
        spec.push(Step { type_id: start.id(), index: first, name: None })?;
        spec.advance_elements(start.id(), first)?;
        let mut id = start.id();
        for &index in rest {
            id = spec.descend(id, index)?;
        }
        Ok(spec)
    }

    /// One step of the local path; gives the type stepped to.
    fn descend(&mut self, id: u32, index: u32) -> Result<u32, Problem> {
        let t = self.btf.strip(id).ok_or(DAMAGED)?;
        if t.kind().is_composite() {
            let member = t.members().nth(index as usize).ok_or(DAMAGED)?;
            self.advance(member.bit_offset)?;
            if member.name.is_empty() {
                self.depth += 1;
            } else {
                self.push(Step { type_id: t.id(), index, name: Some(member.name) })?;
            }
            return Ok(member.type_id);
        }
        let array = t.array().ok_or(DAMAGED)?;
        if index >= array.count && !self.ends_in_flexible_array(array.count) {
            return Err(DAMAGED);
        }
        let element = self.btf.strip(array.element).ok_or(DAMAGED)?.id();
        self.push(Step { type_id: element, index, name: None })?;
        self.advance_elements(element, index)?;
        Ok(element)
    }

    /// Whether the last step named the last field of its struct and that is an array of no
    /// declared length.
    fn ends_in_flexible_array(&self, count: u32) -> bool {
        let last = self.steps.last().filter(|s| s.name.is_some() && count == 0);
        last.and_then(|s| Some((s.index, self.btf.type_by_id(s.type_id)?)))
            .is_some_and(|(index, t)| index + 1 == t.count())
    }

    fn push(&mut self, step: Step<'b>) -> Result<(), Problem> {
        self.depth += 1;
        if self.depth > MAX_PATH {
            return Err(TOO_DEEP);
        }
        self.steps.push(step);
        Ok(())
    }

    fn advance(&mut self, bits: u32) -> Result<(), Problem> {
        self.bit_offset = self.bit_offset.checked_add(bits).ok_or(TOO_FAR)?;
        Ok(())
    }

    fn advance_elements(&mut self, element: u32, index: u32) -> Result<(), Problem> {
        let size = self.btf.size_of(element).ok_or("a type in the path has no size")?;
        let bits = size.checked_mul(index).and_then(|b| b.checked_mul(8)).ok_or(TOO_FAR)?;
        self.advance(bits)
    }

    /// The same path through a candidate of the kernel; `None` when the candidate has no such path.
    pub(super) fn match_type<'t>(
        &self,
        comparison: &Comparison<'b, 't>,
        candidate: u32,
    ) -> Result<Option<Spec<'t>>, Problem> {
        let btf = comparison.target;
        let mut found =
            Spec { btf, kind: self.kind, root: candidate, steps: vec![], depth: 0, bit_offset: 0 };
        if self.kind.is_type() {
            let same = if self.kind == Kind::TypeMatches {
                comparison.types_match(self.root, candidate)?
            } else {
                comparison.types_compatible(self.root, candidate)?
            };
            return Ok(same.then_some(found));
        }
        if self.kind.is_enumerator() {
            let wanted = self.steps.first().and_then(|s| s.name).map_or("", essential);
            let Some(t) = btf.strip(candidate) else { return Ok(None) };
            let value = t.enumerators().enumerate().find(|(_, e)| essential(e.name) == wanted);
            let Some((index, value)) = value else { return Ok(None) };
            let step = Step { type_id: t.id(), index: index as u32, name: Some(value.name) };
            found.steps.push(step);
            return Ok(Some(found));
        }
        let mut id = candidate;
        for (i, step) in self.steps.iter().enumerate() {
            let Some(t) = btf.strip(id) else { return Ok(None) };
            if let Some(name) = step.name {
                let local = self.btf.type_by_id(step.type_id).ok_or(DAMAGED)?;
                let local = local.members().nth(step.index as usize).ok_or(DAMAGED)?.type_id;
                match found.find_field(comparison, t, name, local)? {
                    Some(next) => id = next,
                    None => return Ok(None),
                }
                continue;
            }
            if i > 0 {
                let Some(array) = t.array() else { return Ok(None) };
                if step.index >= array.count && !found.ends_in_flexible_array(array.count) {
                    return Ok(None);
                }
                id = btf.strip(array.element).ok_or("a kernel type ends in void")?.id();
            } else {
                id = t.id();
            }
            found.push(Step { type_id: id, index: step.index, name: None })?;
            found.advance_elements(id, step.index)?;
        }
        Ok(Some(found))
    }

    /// Looks for a field by name, through anonymous structs and unions, and checks that its type
    /// fits the local one. Gives the field's type.
    fn find_field(
        &mut self,
        comparison: &Comparison<'_, 'b>,
        t: Type<'b>,
        name: &str,
        local_type: u32,
    ) -> Result<Option<u32>, Problem> {
        comparison.step()?;
        if !t.kind().is_composite() {
            return Ok(None);
        }
        for (index, member) in t.members().enumerate() {
            if self.depth >= MAX_PATH {
                return Err(TOO_DEEP);
            }
            if member.name == name {
                if !comparison.fields_compatible(local_type, member.type_id)? {
                    return Ok(None);
                }
                self.advance(member.bit_offset)?;
                let step = Step { type_id: t.id(), index: index as u32, name: Some(member.name) };
                self.push(step)?;
                return Ok(Some(member.type_id));
            }
            if !member.name.is_empty() {
                continue;
            }
            let Some(inner) = self.btf.strip(member.type_id) else { continue };
            let before = self.bit_offset;
            self.advance(member.bit_offset)?;
            self.depth += 1;
            if let Some(id) = self.find_field(comparison, inner, name, local_type)? {
                return Ok(Some(id));
            }
            self.bit_offset = before;
            self.depth -= 1;
        }
        Ok(None)
    }
}
