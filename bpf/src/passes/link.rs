//! Linking: code of another module becomes part of this one.
//!
//! What a pass wants to call it takes from a *library*, a module that was parsed as any other. Only
//! functions that the wanted ones reach are copied, and the maps, types and lines that these refer
//! to. Everything the module has keeps its id.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{PassError, func_btf, wrap};
use crate::btf::Btf;
use crate::module::{Function, FunctionId, Linkage, MapId, Module, ProgramId, Target};

/// What became of the library's functions and maps.
#[derive(Clone, Debug, Default)]
pub struct Linked {
    /// Ids in the module, by ids in the library.
    pub functions: BTreeMap<FunctionId, FunctionId>,
    /// See [`Linked::functions`].
    pub maps: BTreeMap<MapId, MapId>,
}

impl Module {
    /// The function of this name; the first, where static functions share it.
    #[must_use]
    pub fn function_named(&self, name: &str) -> Option<FunctionId> {
        let at = self.functions.iter().position(|f| f.name == name)?;
        u32::try_from(at).ok().map(FunctionId)
    }

    /// Lets every call of a function call another.
    pub fn redirect_calls(&mut self, from: FunctionId, to: FunctionId) {
        for inst in self.functions.iter_mut().flat_map(|f| &mut f.code) {
            if inst.target == Target::Call(from) {
                inst.target = Target::Call(to);
            }
        }
    }
}

/// Copies functions of a library with all that they reach into a module.
///
/// The verifier takes function types for all functions or for none, so a module that has BTF gets
/// the library's types too, and one without gets none here: see [`enter_by`].
///
/// # Errors
/// `program-btf-unusable` when the module's BTF cannot be read.
pub fn link(
    module: &mut Module,
    library: &Module,
    wanted: &[FunctionId],
) -> Result<Linked, PassError> {
    let mut linked = Linked::default();
    let mut order = Vec::new();
    let mut work: Vec<FunctionId> = wanted.iter().rev().copied().collect();
    while let Some(id) = work.pop() {
        if linked.functions.contains_key(&id) {
            continue;
        }
        linked.functions.insert(id, FunctionId((module.functions.len() + order.len()) as u32));
        order.push(id);
        for inst in &library.function(id).code {
            match inst.target {
                Target::Call(f) | Target::FunctionAddress(f) => work.push(f),
                Target::Map(map) | Target::MapValue { map, .. } => {
                    linked.maps.entry(map).or_insert_with(|| {
                        let copy = library.map(map).clone();
                        module.maps.push(crate::module::Map {
                            key_type_id: None,
                            value_type_id: None,
                            ..copy
                        });
                        MapId(module.maps.len() as u32 - 1)
                    });
                }
                Target::None | Target::Jump(_) | Target::Extern(_) => {}
            }
        }
    }
    let debug = DebugInfo::import(module, library, &order)?;
    for &id in &order {
        let mut function = library.function(id).clone();
        function.linkage = Linkage::Static;
        function.btf_type_id = function.btf_type_id.and_then(|t| debug.types.get(&t).copied());
        for inst in &mut function.code {
            inst.line = inst.line.and_then(|l| debug.lines.get(&l).copied());
            inst.origin = None;
            inst.target = match inst.target {
                Target::Call(f) => Target::Call(linked.functions[&f]),
                Target::FunctionAddress(f) => Target::FunctionAddress(linked.functions[&f]),
                Target::Map(map) => Target::Map(linked.maps[&map]),
                Target::MapValue { map, offset } => {
                    Target::MapValue { map: linked.maps[&map], offset }
                }
                other => other,
            };
        }
        module.functions.push(function);
    }
    Ok(linked)
}

/// Types and lines of a library, as the module knows them.
#[derive(Default)]
struct DebugInfo {
    types: HashMap<u32, u32>,
    lines: HashMap<u32, u32>,
}

impl DebugInfo {
    fn import(
        module: &mut Module,
        library: &Module,
        functions: &[FunctionId],
    ) -> Result<Self, PassError> {
        let code = || functions.iter().map(|id| library.function(*id));
        let mut info = Self::default();
        let mut strings = HashMap::new();
        if !module.btf.is_empty() {
            let mut btf = readable(module)?;
            let mut other = Btf::parse(&library.btf).map_err(|error| unusable(library, &error))?;
            other.make_functions_static();
            let texts = library.lines.iter().filter_map(|l| l.strings).flat_map(<[u32; 2]>::from);
            let imported = btf.import(&other, code().filter_map(|f| f.btf_type_id), texts);
            module.btf = btf.into_bytes();
            info.types = imported.types;
            strings = imported.strings;
        }
        let used = code().flat_map(|f| f.code.iter().filter_map(|i| i.line));
        for line in used {
            let Some(mut copy) = library.lines.get(line as usize).cloned() else { continue };
            copy.strings = copy
                .strings
                .and_then(|(file, text)| Some((*strings.get(&file)?, *strings.get(&text)?)));
            info.lines.entry(line).or_insert_with(|| {
                module.lines.push(copy);
                module.lines.len() as u32 - 1
            });
        }
        Ok(info)
    }
}

fn readable(module: &Module) -> Result<Btf, PassError> {
    Btf::parse(&module.btf).map_err(|error| unusable(module, &error))
}

fn unusable(module: &Module, error: &crate::btf::BtfError) -> PassError {
    PassError {
        code: "program-btf-unusable",
        message: format!(
            "{}: the BTF cannot be extended: {error}; rebuild the object with `clang -g`",
            module.name
        ),
    }
}

/// What becomes of a module's own global functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Globals {
    /// They become static: the verifier follows each from its callers, with what is known there.
    #[default]
    Inline,
    /// They stay global, with the context of this name (`__sk_buff`) in place of `xdp_md`: the
    /// verifier judges each once, by its types. For programs that are too complex otherwise.
    Keep {
        /// Name of the context's struct.
        context: &'static str,
    },
}

/// Makes a linked function, which calls the old main, the entry of a program and gives it the
/// program's name. `typed` says whether the verifier will want BTF: for tail calls from subprograms
/// and for callbacks.
///
/// # Errors
/// `program-btf-unusable` when the module's BTF cannot be read, `program-btf-missing` when it lacks
/// the type of a function and the verifier wants it.
pub fn enter_by(
    module: &mut Module,
    program: ProgramId,
    main: FunctionId,
    typed: bool,
    globals: Globals,
) -> Result<(), PassError> {
    let old_main = module.program(program).function;
    let name = module.program(program).name.clone();
    if module.btf.is_empty() {
        if typed {
            func_btf::invent(module);
        }
    } else {
        let mut btf = readable(module)?;
        let function = &mut module.functions[main.0 as usize];
        let old = function.btf_type_id.and_then(|id| btf.type_by_id(id));
        let proto = old.map(crate::btf::Type::size_or_type);
        function.btf_type_id = proto.map(|proto| btf.append_function(&name, proto));
        match globals {
            Globals::Inline => btf.make_functions_static(),
            Globals::Keep { context } => {
                btf.rename_struct("xdp_md", context);
                if let Some(id) = module.function(old_main).btf_type_id {
                    btf.make_function_static(id);
                }
            }
        }
        module.btf = btf.into_bytes();
        if typed && let Some(f) = untyped(module, main) {
            return Err(PassError {
                code: "program-btf-missing",
                message: format!(
                    "{name}: function {f} has no BTF, which tail calls from a subprogram and \
                     callbacks need; rebuild the object with `clang -g`"
                ),
            });
        }
    }
    let inlined = module
        .functions
        .iter_mut()
        .enumerate()
        .filter(|(at, _)| globals == Globals::Inline || *at == old_main.0 as usize);
    for (_, function) in inlined {
        function.linkage = Linkage::Static;
    }
    module.functions[main.0 as usize].name = name;
    wrap::enter(module, program, main);
    Ok(())
}

/// The first function that is reached from another, itself included, and has no type.
fn untyped(module: &Module, from: FunctionId) -> Option<&str> {
    let (mut seen, mut work) = (BTreeSet::new(), vec![from]);
    while let Some(id) = work.pop() {
        let function: &Function = module.function(id);
        if function.btf_type_id.is_none() {
            return Some(&function.name);
        }
        let next = function.code.iter().filter_map(|inst| match inst.target {
            Target::Call(f) | Target::FunctionAddress(f) => Some(f),
            _ => None,
        });
        work.extend(next.filter(|f| seen.insert(*f)));
    }
    None
}
