//! The objects that are translated.

use std::path::Path;

use hoist_bpf::module::{ProgramHint, ProgramId};
use hoist_bpf::resolve::{TargetBtf, resolve};
use hoist_bpf::{Module, programs};

/// Where distributions install BPF objects.
const INSTALLED: [&str; 2] = ["/usr/lib/x86_64-linux-gnu/bpf", "/usr/lib/aarch64-linux-gnu/bpf"];

/// A program with where it comes from.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) module: Module,
    pub(crate) program: ProgramId,
}

/// Every program that may be for XDP, of hoist's own objects, of the tests', and of what is
/// installed here.
pub(crate) fn all() -> Vec<Case> {
    let mut modules: Vec<(String, Module)> = programs::LIST
        .iter()
        .map(|p| (p.name.to_owned(), Module::parse(p.name, p.object).unwrap()))
        .collect();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = [here.join("tests/objects"), here.join("../bpf/tests/objects")];
    for directory in own.iter().map(|d| d.as_path()).chain(INSTALLED.iter().map(Path::new)) {
        let mut paths: Vec<_> = std::fs::read_dir(directory)
            .map(|entries| entries.flatten().map(|e| e.path()).collect())
            .unwrap_or_default();
        paths.sort();
        for path in paths.iter().filter(|p| p.extension().is_some_and(|e| e == "o")) {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let parsed = Module::parse(&name, &std::fs::read(path).unwrap());
            // Some of the tests' objects are for older loaders or other kernels.
            modules.extend(parsed.ok().map(|module| (name, module)));
        }
    }
    let fit = |(name, module): (String, Module)| {
        let module = resolve(&module, &TargetBtf::none()).unwrap_or(module);
        (name, module)
    };
    let each = |(name, module): (String, Module)| {
        let programs =
            module.programs.iter().zip(0..).filter(|(p, _)| p.hint != ProgramHint::Other);
        let cases = programs.map(|(p, id)| Case {
            name: format!("{name}, {}", p.name),
            module: module.clone(),
            program: ProgramId(id),
        });
        cases.collect::<Vec<_>>()
    };
    modules.into_iter().map(fit).flat_map(each).collect()
}

/// One of hoist's own programs.
pub(crate) fn own(name: &str) -> Case {
    let prebuilt = programs::get(name).unwrap();
    let module = Module::parse(name, prebuilt.object).unwrap();
    let at = module.programs.iter().position(|p| p.name == prebuilt.program()).unwrap();
    Case { name: name.to_owned(), module, program: ProgramId(at as u32) }
}
