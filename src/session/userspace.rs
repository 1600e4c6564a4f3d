//! From a file to hoist's own machine, with nothing asked of any kernel.

use std::sync::Arc;

use hoist_fallback::userspace::environment;
use hoist_fallback::userspace::vm::{Machine, Options};
use hoist_offload::bpf::module::{ExternKind, Module, ProgramId, Resolution};
use hoist_offload::bpf::resolve::{self, KernelConfig, TargetBtf};
use hoist_offload::{EngineKind, Error, Hook, Refusal};

use super::Draft;

/// The release whose semantics the machine follows: what `LINUX_KERNEL_VERSION` reads.
const RELEASE: &str = "6.18.0";

/// Its configuration, as far as programs ask: what `bpf_jiffies64` counts in.
const CONFIG: &str = "CONFIG_HZ=250\n";

/// Who provides the engine.
pub const PROVIDER: &str = "hoist";

/// A program in a machine of its own.
#[derive(Debug)]
pub struct Assembled {
    /// The machine.
    pub machine: Machine,
    /// The module as the machine runs it.
    pub module: Arc<Module>,
    /// Which of its programs.
    pub program: ProgramId,
}

impl Draft {
    /// Fits the program to hoist's own machine and puts it there. `place` is what it is to run on, for
    /// messages. The result is the same on every host: types come from the object itself.
    ///
    /// # Errors
    /// [`Error::Refused`] with everything that the machine lacks; a map's contents do not fit.
    pub fn assemble(self, place: &str, mut options: Options) -> Result<Assembled, Error> {
        let Self { module, program, order } = self;
        let module = Arc::new(fit(module)?);
        if let Some(contents) = &order.contents {
            let cpus = contents.cpus(&module).unwrap_or(options.maps.cpus as usize);
            options.maps.cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
            options.contents = contents.bytes_for(&module, Some(cpus))?;
        }
        match Machine::new(&module, program, &options) {
            Ok(machine) => Ok(Assembled { machine, module, program }),
            Err(gaps) => Err(Error::Refused {
                device: place.to_owned(),
                program: module.program(program).name.clone(),
                refusals: vec![Refusal {
                    engine: EngineKind::User,
                    hook: Some(Hook::File),
                    provider: PROVIDER.to_owned(),
                    gaps,
                }],
            }),
        }
    }
}

/// Fits a module to the machine: its own types are those of the target, so that what it knows of
/// `struct xdp_md` or of headers stays as it was compiled.
fn fit(module: Module) -> Result<Module, Error> {
    let wrong =
        |name: &str, what: String| Error::Input { what: format!("{name}: {what}"), hint: None };
    let own = match module.btf.is_empty() {
        true => TargetBtf::none(),
        false => TargetBtf::parse(module.btf.clone())
            .map_err(|error| wrong(&module.name, error.to_string()))?,
    };
    let mut module =
        resolve::resolve(&module, &own).map_err(|error| wrong(&module.name, error.to_string()))?;
    let config = KernelConfig::parse(CONFIG, RELEASE);
    resolve::fill_kconfig(&mut module, &config)
        .map_err(|error| wrong(&module.name, error.to_string()))?;
    for external in module.externs.iter_mut().filter(|external| external.weak) {
        let absent = match external.kind {
            ExternKind::Kfunc => environment::kfunc(&external.name).is_none(),
            ExternKind::Ksym | ExternKind::KsymTyped => true,
            ExternKind::Kconfig { .. } => false,
        };
        if absent {
            external.resolution = Resolution::Absent;
        }
    }
    Ok(module)
}
