//! Kinds that have several hooks.

use super::*;
use crate::capability::Condition;
use crate::engine::Hook;
use crate::fact::Evidence;

/// An engine of which only this is known: whether it is usable, and that it refuses to load.
#[derive(Debug)]
struct AtHook(Hook, Answer);

impl Engine for AtHook {
    fn kind(&self) -> EngineKind {
        EngineKind::Tc
    }

    fn hook(&self) -> Hook {
        self.0
    }

    fn capabilities(&self, _: &dyn Host, _: &Device) -> Result<Capabilities, Error> {
        let mut known = Capabilities::new(self.kind(), self.provider());
        let evidence = Evidence::kernel("test");
        known.conditions.push(Condition::new("no-hook", self.1, self.0.name(), evidence));
        Ok(known)
    }

    fn prepare(
        &self,
        _: &Arc<dyn Kernel>,
        device: &Device,
        job: &Job,
    ) -> Result<Box<dyn Prepared>, Error> {
        let gaps = vec![Gap::new("not-loadable", format!("nothing loads at {}", self.0))];
        let refusal = Refusal {
            engine: self.kind(),
            hook: Some(self.0),
            provider: self.provider().to_owned(),
            gaps,
        };
        Err(Error::Refused {
            device: device.name.clone(),
            program: job.program_name().to_owned(),
            refusals: vec![refusal],
        })
    }
}

/// Which hooks the ladder has for `wanted`, tcx being usable as said, clsact as said.
fn hooks(tcx: Answer, clsact: Answer, choice: Choice) -> Vec<Option<Hook>> {
    let leak = |engine: AtHook| -> &'static AtHook { Box::leak(Box::new(engine)) };
    let registry = Registry::new()
        .engine(leak(AtHook(Hook::Tcx, tcx)))
        .engine(leak(AtHook(Hook::Clsact, clsact)));
    let kernel: Arc<dyn Kernel> = Arc::new(Fake::new());
    let host = FakeHost::with_devices(vec![nic()]);
    let wishes = Wishes { choice, ..Wishes::default() };
    let mut job = job("pass");
    job.requirements = Default::default();
    let (plan, _) = registry.prove(&host, &kernel, &nic(), &job, &wishes).unwrap();
    plan.refusals.iter().map(|refusal| refusal.hook).collect()
}

#[test]
fn the_first_usable_hook_stands_for_its_kind() {
    use Answer::{No, Unknown, Yes};
    let (tcx, clsact) = (Some(Hook::Tcx), Some(Hook::Clsact));
    let tc = || Choice::only(EngineKind::Tc);
    let pinned = |hook| Choice::only(Wanted::at(EngineKind::Tc, hook));
    let cases = [
        (Yes, Yes, Choice::Auto, vec![tcx]),
        (Yes, Yes, tc(), vec![tcx]),
        (No, Yes, tc(), vec![clsact]),
        (Unknown, Yes, tc(), vec![tcx, clsact]),
        (Unknown, Unknown, tc(), vec![tcx, clsact]),
        (Yes, Unknown, tc(), vec![tcx]),
        (Unknown, No, tc(), vec![tcx]),
        (No, No, tc(), vec![tcx, clsact]),
        (Yes, Yes, pinned(Hook::Clsact), vec![clsact]),
        (No, Yes, pinned(Hook::Tcx), vec![tcx]),
        (Yes, Yes, Choice::only(EngineKind::Hw), vec![None]),
        (
            Yes,
            Yes,
            Choice::listed([
                Wanted::at(EngineKind::Tc, Hook::Clsact),
                Wanted::at(EngineKind::Tc, Hook::Tcx),
            ]),
            vec![clsact, tcx],
        ),
    ];
    for (on_tcx, on_clsact, choice, expected) in cases {
        let words = format!("{on_tcx:?} {on_clsact:?} {choice:?}");
        assert_eq!(hooks(on_tcx, on_clsact, choice), expected, "{words}");
    }
}
