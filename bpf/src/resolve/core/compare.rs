//! When a local type and a kernel type count as the same.

use std::cell::Cell;

use super::{Problem, essential};
use crate::btf::{Btf, Kind, Type};

/// Deepest nesting that is compared, as in libbpf.
const MAX_LEVEL: u32 = 32;
/// Most types looked at for one relocation. Real comparisons need hundreds; a hostile file's nested
/// prototypes could need 2^32.
const MAX_STEPS: u32 = 1_000_000;

const TOO_DEEP: Problem = "its type nests too deep to be compared";

/// Compares types of a module with types of a kernel.
pub(in crate::resolve) struct Comparison<'l, 't> {
    local: &'l Btf,
    pub(super) target: &'t Btf,
    steps: Cell<u32>,
}

/// A local type beside a kernel type, modifiers stripped.
struct Pair<'l, 't> {
    local: Type<'l>,
    target: Type<'t>,
}

/// What stripping both sides left: two types, or `void` on at least one side.
enum Stripped<'l, 't> {
    Pair(Pair<'l, 't>),
    Void { both: bool },
}

fn same_kind(a: Kind, b: Kind) -> bool {
    a == b || (a.is_enum() && b.is_enum())
}

impl<'l, 't> Comparison<'l, 't> {
    pub(in crate::resolve) fn new(local: &'l Btf, target: &'t Btf) -> Self {
        Self { local, target, steps: Cell::new(0) }
    }

    /// Counts one more type looked at.
    pub(super) fn step(&self) -> Result<(), Problem> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        if steps > MAX_STEPS { Err(TOO_DEEP) } else { Ok(()) }
    }

    fn strip(&self, local: u32, target: u32) -> Result<Stripped<'l, 't>, Problem> {
        self.step()?;
        let local = self.local.strip_id(local).ok_or(TOO_DEEP)?;
        let target = self.target.strip_id(target).ok_or(TOO_DEEP)?;
        match (self.local.type_by_id(local), self.target.type_by_id(target)) {
            (Some(local), Some(target)) => Ok(Stripped::Pair(Pair { local, target })),
            (None, None) => Ok(Stripped::Void { both: true }),
            _ => Ok(Stripped::Void { both: false }),
        }
    }

    /// `bpf_core_fields_are_compat`: may a field of one type be read as the other?
    pub(super) fn fields_compatible(&self, local: u32, target: u32) -> Result<bool, Problem> {
        let (mut local, mut target) = (local, target);
        for _ in 0..MAX_LEVEL {
            let Stripped::Pair(pair) = self.strip(local, target)? else { return Ok(false) };
            let (a, b) = (pair.local.kind(), pair.target.kind());
            if a.is_composite() && b.is_composite() {
                return Ok(true);
            }
            if !same_kind(a, b) {
                return Ok(false);
            }
            return Ok(match a {
                Kind::Ptr | Kind::Float => true,
                Kind::Fwd | Kind::Enum | Kind::Enum64 => {
                    let (a, b) = (essential(pair.local.name()), essential(pair.target.name()));
                    a.is_empty() || b.is_empty() || a == b
                }
                Kind::Int => pair.plain_ints(),
                Kind::Array => {
                    (local, target) = pair.elements();
                    continue;
                }
                _ => false,
            });
        }
        Err(TOO_DEEP)
    }

    /// `bpf_core_types_are_compat`: same kind and shape, names aside.
    pub(in crate::resolve) fn types_compatible(
        &self,
        local: u32,
        target: u32,
    ) -> Result<bool, Problem> {
        self.compatible(local, target, MAX_LEVEL)
    }

    fn compatible(&self, local: u32, target: u32, level: u32) -> Result<bool, Problem> {
        let (mut local, mut target) = (local, target);
        if let (Some(a), Some(b)) = (self.local.type_by_id(local), self.target.type_by_id(target))
            && !same_kind(a.kind(), b.kind())
        {
            return Ok(false);
        }
        for _ in 0..MAX_LEVEL {
            let pair = match self.strip(local, target)? {
                Stripped::Pair(pair) => pair,
                Stripped::Void { both } => return Ok(both),
            };
            let kind = pair.local.kind();
            if !same_kind(kind, pair.target.kind()) {
                return Ok(false);
            }
            match kind {
                Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Fwd => {
                    return Ok(true);
                }
                Kind::Int => return Ok(pair.plain_ints()),
                Kind::Ptr => (local, target) = pair.referred(),
                Kind::Array => (local, target) = pair.elements(),
                Kind::FuncProto => {
                    if pair.local.count() != pair.target.count() {
                        return Ok(false);
                    }
                    for (a, b) in pair.local.params().zip(pair.target.params()) {
                        let level = level.checked_sub(1).ok_or(TOO_DEEP)?;
                        let a = self.local.strip_id(a.type_id).ok_or(TOO_DEEP)?;
                        let b = self.target.strip_id(b.type_id).ok_or(TOO_DEEP)?;
                        if !self.compatible(a, b, level)? {
                            return Ok(false);
                        }
                    }
                    (local, target) = pair.referred();
                }
                _ => return Ok(false),
            }
        }
        Err(TOO_DEEP)
    }

    /// `bpf_core_types_match`: everything the local type has, the kernel's has too.
    pub(super) fn types_match(&self, local: u32, target: u32) -> Result<bool, Problem> {
        self.matches(local, target, false, MAX_LEVEL)
    }

    fn matches(
        &self,
        local: u32,
        target: u32,
        behind_pointer: bool,
        level: u32,
    ) -> Result<bool, Problem> {
        let level = level.checked_sub(1).ok_or(TOO_DEEP)?;
        let (mut local, mut target, mut behind_pointer) = (local, target, behind_pointer);
        for _ in 0..MAX_LEVEL {
            let pair = match self.strip(local, target)? {
                Stripped::Pair(pair) => pair,
                Stripped::Void { both } => return Ok(both),
            };
            if !names_match(pair.local.name(), pair.target.name()) {
                return Ok(false);
            }
            let (a, b) = (pair.local.kind(), pair.target.kind());
            match a {
                Kind::Fwd if a == b => return Ok(pair.local.flag() == pair.target.flag()),
                Kind::Fwd => {
                    let wanted = if pair.local.flag() { Kind::Union } else { Kind::Struct };
                    return Ok(behind_pointer && b == wanted);
                }
                Kind::Enum | Kind::Enum64 => return Ok(b.is_enum() && pair.enumerators_match()),
                Kind::Struct | Kind::Union if behind_pointer => {
                    let declared = b == Kind::Fwd && (a == Kind::Union) == pair.target.flag();
                    return Ok(a == b || declared);
                }
                _ if a != b => return Ok(false),
                Kind::Struct | Kind::Union => return self.members_match(&pair, level),
                Kind::Int => {
                    let (x, y) = (pair.local.int(), pair.target.int());
                    return Ok(x
                        .zip(y)
                        .is_some_and(|(x, y)| x.size == y.size && x.signed == y.signed));
                }
                Kind::Ptr => {
                    behind_pointer = true;
                    (local, target) = pair.referred();
                }
                Kind::Array => {
                    let (x, y) = (pair.local.array(), pair.target.array());
                    if x.map(|x| x.count) != y.map(|y| y.count) {
                        return Ok(false);
                    }
                    (local, target) = pair.elements();
                }
                Kind::FuncProto => {
                    if pair.local.count() != pair.target.count() {
                        return Ok(false);
                    }
                    for (x, y) in pair.local.params().zip(pair.target.params()) {
                        if !self.matches(x.type_id, y.type_id, behind_pointer, level)? {
                            return Ok(false);
                        }
                    }
                    (local, target) = pair.referred();
                }
                _ => return Ok(false),
            }
        }
        Err(TOO_DEEP)
    }

    fn members_match(&self, pair: &Pair<'l, 't>, level: u32) -> Result<bool, Problem> {
        for wanted in pair.local.members() {
            let mut found = false;
            for member in pair.target.members() {
                self.step()?;
                if names_match(wanted.name, member.name)
                    && self.matches(wanted.type_id, member.type_id, false, level)?
                {
                    found = true;
                    break;
                }
            }
            if !found {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Pair<'_, '_> {
    /// Integers of the obsolete bit-field form fit nothing.
    fn plain_ints(&self) -> bool {
        let plain = |t: Type<'_>| t.int().is_some_and(|i| i.bit_offset == 0);
        plain(self.local) && plain(self.target)
    }

    fn elements(&self) -> (u32, u32) {
        let element = |t: Type<'_>| t.array().map_or(0, |a| a.element);
        (element(self.local), element(self.target))
    }

    fn referred(&self) -> (u32, u32) {
        (self.local.size_or_type(), self.target.size_or_type())
    }

    fn enumerators_match(&self) -> bool {
        let known: std::collections::HashSet<_> =
            self.target.enumerators().map(|e| essential(e.name)).collect();
        self.local.size_or_type() == self.target.size_or_type()
            && self.local.enumerators().all(|e| known.contains(essential(e.name)))
    }
}

fn names_match(local: &str, target: &str) -> bool {
    if target.is_empty() { local.is_empty() } else { essential(local) == essential(target) }
}
