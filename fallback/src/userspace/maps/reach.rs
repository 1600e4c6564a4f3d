//! Which maps a program can reach.

use std::collections::BTreeSet;

use hoist_bpf::module::{DataSection, ExternKind, MapId, Module, ProgramHint, ProgramId, Target};

use super::flags::kind;

/// The closure of one program over calls, callbacks, maps and what they start with. A prog array may
/// be given any program of the module, so that it brings all of them in, and a devmap or cpumap those
/// for its entries.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// In the module's order.
    pub(super) maps: BTreeSet<MapId>,
    /// Those that the program, or one that it starts with, refers to.
    needed: BTreeSet<MapId>,
    programs: Vec<ProgramId>,
}

impl Reach {
    /// `also` names maps that are wanted although no instruction refers to them. What the module has
    /// not is left out.
    pub(super) fn of(
        module: &Module,
        program: ProgramId,
        also: impl Iterator<Item = MapId>,
    ) -> Self {
        let mut reach = Self { programs: vec![program], ..Self::default() };
        for map in also {
            reach.map(module, map);
        }
        reach.programs(module);
        reach.needed.clone_from(&reach.maps);
        let kinds: BTreeSet<u32> = reach.maps.iter().map(|id| module.map(*id).kind).collect();
        let known = reach.programs.clone();
        for (program, at) in module.programs.iter().zip(0..) {
            let wanted = kinds.contains(&kind::PROG_ARRAY)
                || match program.hint {
                    ProgramHint::XdpDevmap => {
                        kinds.contains(&kind::DEVMAP) || kinds.contains(&kind::DEVMAP_HASH)
                    }
                    ProgramHint::XdpCpumap => kinds.contains(&kind::CPUMAP),
                    _ => false,
                };
            if wanted && !known.contains(&ProgramId(at)) {
                reach.programs.push(ProgramId(at));
            }
        }
        reach.programs(module);
        reach
    }

    /// Whether the program cannot do without the map.
    pub(super) fn needs(&self, map: MapId) -> bool {
        self.needed.contains(&map)
    }

    fn programs(&mut self, module: &Module) {
        let mut next = 0;
        while let Some(&program) = self.programs.get(next) {
            self.program(module, program);
            next += 1;
        }
    }

    fn program(&mut self, module: &Module, program: ProgramId) {
        let Some(program) = module.programs.get(program.0 as usize) else { return };
        let mut seen = BTreeSet::new();
        let mut functions = vec![program.function];
        while let Some(id) = functions.pop() {
            let function = module.functions.get(id.0 as usize);
            let (true, Some(function)) = (seen.insert(id), function) else { continue };
            for inst in &function.code {
                match inst.target {
                    Target::Call(f) | Target::FunctionAddress(f) => functions.push(f),
                    Target::Map(map) | Target::MapValue { map, .. } => self.map(module, map),
                    Target::Extern(id) => {
                        let external = module.externs.get(id.0 as usize);
                        if external.is_some_and(|e| matches!(e.kind, ExternKind::Kconfig { .. })) {
                            self.kconfig(module);
                        }
                    }
                    Target::None | Target::Jump(_) => {}
                }
            }
        }
    }

    fn kconfig(&mut self, module: &Module) {
        let is_kconfig = |map: &hoist_bpf::module::Map| map.section == Some(DataSection::Kconfig);
        if let Some(at) = module.maps.iter().position(is_kconfig) {
            self.map(module, MapId(at as u32));
        }
    }

    fn map(&mut self, module: &Module, id: MapId) {
        let Some(map) = module.maps.get(id.0 as usize) else { return };
        if !self.maps.insert(id) {
            return;
        }
        for slot in &map.initial {
            match slot.value {
                Target::Map(inner) => self.map(module, inner),
                Target::FunctionAddress(function) => {
                    let at = module.programs.iter().position(|p| p.function == function);
                    let program = at.map(|at| ProgramId(at as u32));
                    self.programs.extend(program.filter(|p| !self.programs.contains(p)));
                }
                _ => {}
            }
        }
    }
}
