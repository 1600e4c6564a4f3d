//! A program on the userspace engine's machine, with all that a test run of the kernel has around it.

use std::collections::BTreeMap;
use std::sync::Arc;

use hoist_bpf::kernel::{Entries, Kernel, KernelError};
use hoist_bpf::module::MapId;
use hoist_fallback::userspace::environment::Settings;
use hoist_fallback::userspace::environment::routing::{Index, Routing};
use hoist_fallback::userspace::maps;
use hoist_fallback::userspace::vm::compiled::{NotCompiled, When};
use hoist_fallback::userspace::vm::{Arrival, Frame, Machine as Vm, Options};
use hoist_offload::Gap;

use super::run::{Failure, Form, Hook, Observed};

/// `PAGE_SIZE` without room for `struct skb_shared_info`: what a test run has between the hard start
/// and the hard end of a frame (`bpf_prog_test_run_xdp`).
const BUFFER: usize = 4096 - 320;
/// The loopback interface, which frames of a test run come in by.
const LOOPBACK: u32 = 1;

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// How many CPUs there are, or the routes, could not be asked for.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// What it has not.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Gaps(Vec<Gap>),
    /// There is no machine code.
    #[error("not compiled: {0}")]
    Compiled(#[from] NotCompiled),
}

/// A machine with a program, and the buffer its frames are in.
#[derive(Debug)]
pub(super) struct Machine {
    vm: Vm,
    buffer: Vec<u8>,
}

impl Machine {
    /// Makes one in the present network namespace, whose interfaces and routes it takes.
    pub(super) fn new(
        kernel: &dyn Kernel,
        form: &Form,
        contents: &BTreeMap<MapId, Entries>,
    ) -> Result<Self, NotMade> {
        let routing = Routing::take()?;
        let interfaces = routing.interfaces.iter().map(|interface| interface.index).collect();
        let cpus = kernel.possible_cpus()? as u32;
        let interpreted = form.hook == Hook::Interpreter;
        let options = Options {
            environment: Settings {
                routing: Arc::new(Index::new(&routing)),
                ..Settings::default()
            },
            maps: maps::Options { cpus, interfaces: Some(interfaces) },
            contents: contents.clone(),
            compile: if interpreted { When::Never } else { When::First },
            paranoid: form.hook == Hook::Paranoid,
            ..Options::default()
        };
        let module = Arc::new(form.module.clone());
        let mut vm = Vm::new(&module, form.program, &options).map_err(NotMade::Gaps)?;
        if !interpreted {
            vm.wait_compiled()?;
        }
        vm.maps_mut().set_cpu(rustix::thread::sched_getcpu() as u32);
        Ok(Self { vm, buffer: vec![0; BUFFER] })
    }

    /// Runs it once.
    pub(super) fn run(&mut self, sent: &[u8]) -> Result<Observed, Failure> {
        let start = Frame::HEADROOM as usize;
        self.buffer.fill(0);
        self.buffer[start..start + sent.len()].copy_from_slice(sent);
        let mut frame = Frame::new(&mut self.buffer, sent.len() as u32);
        let arrival = Arrival { ingress_ifindex: LOOPBACK, ..Arrival::default() };
        let ran = self.vm.run(&mut frame, &arrival);
        if let Some(fault) = ran.fault {
            return Err(Failure::Fault(fault));
        }
        let code = ran.code as u32;
        // A test run hands out metadata too.
        let left = frame.meta as usize..frame.end as usize;
        let bytes = self.buffer.get(left).unwrap_or_default().to_vec();
        Ok(Observed { verdict: code, returned: code, frame: bytes })
    }

    /// The maps there are.
    pub(super) fn maps(&self) -> impl Iterator<Item = MapId> {
        self.vm.maps().ids()
    }

    /// One value, empty where there is none.
    pub(super) fn value(&mut self, map: MapId, key: &[u8]) -> Vec<u8> {
        self.vm.maps_mut().user().lookup(map, key, 0).unwrap_or_default()
    }

    /// What a map holds, in its own order.
    pub(super) fn entries(&mut self, map: MapId) -> Entries {
        let mut user = self.vm.maps_mut().user();
        let (mut entries, mut last) = (Entries::new(), None::<Vec<u8>>);
        while let Ok(Some(key)) = user.next_key(map, last.as_deref()) {
            if let Ok(value) = user.lookup(map, &key, 0) {
                entries.push((key.clone(), value));
            }
            last = Some(key);
        }
        entries
    }
}
