//! The userspace engine's machine run both ways on a case's frame: interpreted, and as machine code that
//! was waited for. An attached engine begins with the one and goes on with the other, so that traffic
//! alone would not tell which of them judged.

use std::sync::{Arc, Mutex, PoisonError};

use hoist_fallback::userspace::vm::Machine;
use hoist_fallback::userspace::vm::compiled::When;
use hoist_fallback::userspace::{engine, maps};
use hoist_offload::{Job, MapHandle};

use super::place::Place;
use super::tables::Tables;
use crate::dut::Failure;

const WAYS: [(&str, When); 2] = [("interpreted", When::Never), ("compiled", When::First)];

/// One way of running a program.
#[derive(Debug)]
pub(super) struct Way {
    /// As differences name it.
    pub(super) name: &'static str,
    pub(super) tables: Tables,
    machine: Arc<Mutex<Machine>>,
}

impl Way {
    /// A machine for each way, with maps of its own, as the engine makes it.
    pub(super) fn all(place: &Place, job: &Job) -> Result<Vec<Self>, Failure> {
        let cpus = u32::try_from(place.dut.kernel().possible_cpus()?)?;
        let each = WAYS.iter().map(|(name, when)| {
            let options = place.dut.inside(|| engine::options(job, cpus));
            let options = hoist_fallback::userspace::vm::Options { compile: *when, ..options };
            let mut machine = Machine::new(&job.module, job.program, &options).map_err(|gaps| {
                let gaps: Vec<String> = gaps.iter().map(ToString::to_string).collect();
                format!("{name}: {}", gaps.join("; "))
            })?;
            if *when == When::First {
                machine.wait_compiled()?;
            }
            let ids: Vec<_> = machine.maps().ids().collect();
            let machine = Arc::new(Mutex::new(machine));
            let handles = ids.into_iter().filter_map(|id| maps::handle(&machine, id));
            let handles: Vec<MapHandle> = handles.collect();
            let tables = Tables::new(place, &job.module, handles)?;
            Ok(Self { name, tables, machine })
        });
        each.collect()
    }

    /// Runs it once.
    pub(super) fn run(&self, frame: &[u8]) -> Result<hoist_offload::engine::Outcome, Failure> {
        let mut machine = self.machine.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = engine::test_run(&mut machine, frame);
        Ok(outcome.ok_or("the frame is too long for the machine")?)
    }
}
