//! Loading for the device: the first form that kernel and driver take.

use hoist_bpf::kernel::Kernel;
use hoist_bpf::kernel::loader::{
    self, ATTACH_TYPE_XDP, Binding, LoadError, LoadSpec, Loaded, PROG_TYPE_XDP,
};
use hoist_offload::{Device, Hook, Job};

use super::form::{Form, not_counted};

/// `BPF_PROG_TYPE_SCHED_CLS`.
const PROG_TYPE_SCHED_CLS: u32 = 3;

/// Loads the first form that is taken. Counters that the NIC does not take cost the counters, never the
/// program; the error is that of the last form, which has none.
pub(super) fn load(
    kernel: &dyn Kernel,
    hook: Hook,
    device: &Device,
    job: &Job,
    forms: Vec<Form>,
) -> Result<(Form, Loaded), LoadError> {
    let mut refused: Option<LoadError> = None;
    let last = forms.len();
    for (at, mut form) in forms.into_iter().enumerate() {
        match load_one(kernel, hook, device, job, &form) {
            Ok(loaded) => {
                if let Some(error) = refused {
                    form.warnings.push(not_counted(job, &format!("refused for the NIC: {error}")));
                }
                return Ok((form, loaded));
            }
            Err(error) if at + 1 == last => return Err(error),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| LoadError::Invalid { what: "no form to load".to_owned() }))
}

fn load_one(
    kernel: &dyn Kernel,
    hook: Hook,
    device: &Device,
    job: &Job,
    form: &Form,
) -> Result<Loaded, LoadError> {
    let (kind, attach_type) = match hook {
        Hook::Clsact => (PROG_TYPE_SCHED_CLS, 0),
        _ => (PROG_TYPE_XDP, ATTACH_TYPE_XDP),
    };
    let spec = LoadSpec {
        module: &form.module,
        program: form.program,
        kind,
        attach_type,
        binding: Some(Binding::Offload(device.ifindex)),
        pin_root: job.pin_root.as_deref(),
        contents: &form.contents,
    };
    loader::load(kernel, &spec)
}
