//! What each load and store of a program goes through, which ways its branches go, and how much
//! stack its functions use: for passes that rewrite instructions one by one.

use std::collections::HashMap;

use super::closure;
use super::interp::Interp;
use super::marks::Mark;
use super::places::TooLarge;
use super::value::{NO_OFFSET, UNKNOWN, Value, kind};
use crate::module::{FunctionId, MapId, Module, ProgramId};

/// What a pointer is, over every way an instruction is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// The stack, at this offset from the top of one function's.
    Stack(Option<i32>),
    /// The value of a map, at this offset.
    MapValue(MapId, Option<u32>),
    /// The value of one of several maps.
    MapValues,
    /// Something else that is no map's value: the context, the packet, a caller's stack.
    Other,
    /// It may be a map's value and may be something else.
    Mixed,
}

/// What is known of a program's instructions, by function and position.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    marks: Vec<Vec<Mark>>,
    stack: Vec<u32>,
    bases: HashMap<(u32, u32), Value>,
    sites: HashMap<(u32, u32), [Value; 5]>,
}

impl Trace {
    fn mark(&self, function: FunctionId, at: usize) -> Mark {
        let marks = self.marks.get(function.0 as usize);
        marks.and_then(|m| m.get(at)).copied().unwrap_or_default()
    }

    /// Whether some way leads there.
    pub(crate) fn reached(&self, function: FunctionId, at: usize) -> bool {
        self.mark(function, at).contains(Mark::REACHED)
    }

    /// Whether a jump can be taken.
    pub(crate) fn taken(&self, function: FunctionId, at: usize) -> bool {
        self.mark(function, at).contains(Mark::TAKEN)
    }

    /// Whether a conditional jump can fail.
    pub(crate) fn fallen(&self, function: FunctionId, at: usize) -> bool {
        self.mark(function, at).contains(Mark::FALLEN)
    }

    /// Whether what an addition or subtraction adds or takes away may point into a map's value.
    pub(crate) fn adds_map_value(&self, function: FunctionId, at: usize) -> bool {
        self.mark(function, at).contains(Mark::ADDS_MAP_VALUE)
    }

    /// Bytes of stack that a function uses itself.
    pub(crate) fn stack(&self, function: FunctionId) -> u32 {
        self.stack.get(function.0 as usize).copied().unwrap_or(0)
    }

    /// What a load, store or atomic goes through; `None` where none is reached.
    pub(crate) fn base(&self, function: FunctionId, at: usize) -> Option<Base> {
        self.bases.get(&(function.0, at as u32)).map(|value| base(*value))
    }

    /// What a call outside the module is given in `r1` to `r5`.
    pub(crate) fn arguments(&self, function: FunctionId, at: usize) -> Option<[Argument; 5]> {
        self.sites.get(&(function.0, at as u32)).map(|args| args.map(Argument))
    }
}

/// What an argument of a call may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Argument(Value);

impl Argument {
    /// The one map it is.
    pub(crate) fn map(self) -> Option<MapId> {
        match self.0 {
            Value::Map(map) if map != UNKNOWN => Some(MapId(map)),
            _ => None,
        }
    }

    /// Whether it may be a map.
    pub(crate) fn is_map(self) -> bool {
        self.0.kinds() & kind::MAP != 0
    }

    /// The one number it is.
    pub(crate) fn constant(self) -> Option<u64> {
        match self.0 {
            Value::Const(value) => Some(value),
            _ => None,
        }
    }

    /// What it points to.
    pub(crate) fn base(self) -> Base {
        base(self.0)
    }
}

fn base(value: Value) -> Base {
    let kinds = value.kinds();
    match value {
        Value::Stack { offset, .. } => Base::Stack((offset != NO_OFFSET).then_some(offset)),
        Value::MapValue { map, offset } if map != UNKNOWN => {
            Base::MapValue(MapId(map), (offset != UNKNOWN).then_some(offset))
        }
        Value::MapValue { .. } => Base::MapValues,
        // A pointer got from the kernel and a number look alike; only maps hand out their values.
        _ if kinds & kind::MAP_VALUE == 0 => Base::Other,
        _ => Base::Mixed,
    }
}

/// Follows a program.
///
/// # Errors
/// The code needs more work or memory to be followed than the fixed budget.
pub(crate) fn trace(module: &Module, program: ProgramId) -> Result<Trace, TooLarge> {
    let Some(entry) = module.programs.get(program.0 as usize) else {
        return Ok(Trace::default());
    };
    let mut interp = Interp::new(module);
    interp.sites = Some(HashMap::new());
    interp.bases = Some(HashMap::new());
    for closure in closure::entries(module, entry.function) {
        let Some(&main) = closure.functions.first() else { continue };
        interp.program(main).map_err(|_| TooLarge)?;
    }
    let sites = interp.sites.take().unwrap_or_default();
    let bases = interp.bases.take().unwrap_or_default();
    let stack = interp.marks.iter().map(|m| m.stack).collect();
    let marks = interp.marks.into_iter().map(|m| m.insts).collect();
    Ok(Trace { marks, stack, bases, sites })
}
