//! One cell of the matrix as a bench: it takes its place on the device for each turn, and leaves it to
//! the next.

use std::fmt;
use std::sync::Arc;

use hoist_offload::plan::{Choice, Wishes};
use hoist_offload::{AttachPolicy, Error};

use super::control::Control;
use super::subject::{Carrier, Mode, Subject};
use super::work::{self, Work};
use super::{Mix, Place, Tools, traffic};
use crate::meter::{Dut, Path, Remote};
use crate::search::{Bench, Halt};
use crate::trial::{Finding, Order, Severity, Trial};

/// A program, what carries it, and traffic for it.
pub(super) struct Seat<'a> {
    pub(super) carrier: Carrier,
    pub(super) hook: String,
    /// What speaks against this cell: refusals, warnings of the plan.
    pub(super) findings: Vec<Finding>,
    /// Why it could not go on, by the library's class.
    pub(super) error: Option<Error>,
    subject: &'a Subject,
    place: &'a Place,
    tools: &'a Tools<'a>,
    mix: Mix<'a>,
    at_work: Option<Work>,
    control: Option<Control>,
    /// Whether the program sends frames back, once that is known.
    returns: Option<bool>,
}

impl fmt::Debug for Seat<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("carrier", &self.carrier).finish_non_exhaustive()
    }
}

impl<'a> Seat<'a> {
    pub(super) fn new(
        carrier: Carrier,
        subject: &'a Subject,
        place: &'a Place,
        tools: &'a Tools<'a>,
        mix: Mix<'a>,
    ) -> Self {
        Self {
            carrier,
            mix,
            hook: String::new(),
            findings: Vec::new(),
            error: None,
            subject,
            place,
            tools,
            at_work: None,
            control: None,
            returns: None,
        }
    }

    /// Whether somebody else sends.
    pub(super) const fn is_remote(&self) -> bool {
        self.place.far.is_none()
    }

    /// Attaches the program.
    fn attach(&mut self) -> Result<Dut, Error> {
        let near = &self.place.near;
        let Tools { registry, host, kernel, .. } = *self.tools;
        let subject = self.subject;
        let dut = match self.carrier {
            Carrier::Engine(wanted) => {
                let wishes = Wishes { choice: Choice::only(wanted), ..Wishes::default() };
                let (plan, attachment, hook, path) = near.namespace.run(|| {
                    let device = host.device(&near.name)?;
                    let policy = AttachPolicy::default();
                    let attached =
                        registry.attach(host, kernel, &device, &subject.job, &wishes, &policy);
                    let (plan, attachment) = attached?;
                    let effective = attachment.effective()?;
                    let path = Path::of(effective.engine, effective.hook);
                    Ok::<_, Error>((plan, attachment, effective.hook.to_string(), path))
                })?;
                self.hook = hook;
                if !subject.job.count_verdicts
                    && let Some(finding) = uncounted(path, &self.hook)
                {
                    self.note(finding);
                }
                for warning in plan.warnings {
                    self.note(Finding {
                        code: warning.code,
                        severity: Severity::Note,
                        message: warning.message,
                        advice: warning.remedy,
                    });
                }
                Dut::new(near, attachment).map_err(of_library)?
            }
            Carrier::Control(mode) => {
                let attach = || Control::attach(&near.name, mode, subject);
                self.control = Some(near.namespace.run(attach)?);
                "xdp".clone_into(&mut self.hook);
                let path = match mode {
                    Mode::Native => Path::Native,
                    Mode::Generic => Path::Buffers,
                };
                Dut::control(near, path)
            }
        };
        Ok(if self.place.is_made() { dut.private() } else { dut })
    }

    fn note(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// Keeps why it cannot go on.
    fn fail(&mut self, error: Error) -> Halt {
        let text = error.to_string();
        if let Error::Refused { refusals, .. } = &error {
            let gaps = refusals.iter().flat_map(|refusal| &refusal.gaps);
            self.findings.extend(gaps.map(|gap| Finding {
                code: gap.code.clone(),
                severity: Severity::Invalid,
                message: gap.message.clone(),
                advice: gap.remedy.clone(),
            }));
        }
        self.error = Some(error);
        Halt::Failed(text.into())
    }

    /// Attaches the program, and makes the traffic for it.
    fn take_place(&mut self) -> Result<Work, Error> {
        let Some(far) = &self.place.far else {
            let dut = self.attach()?;
            let remote = Remote::new(dut, Arc::clone(self.tools.stop));
            return Ok(Work::Remote(remote.expecting(self.mix.expected)));
        };
        let returns = self.returns == Some(true);
        // What comes back is told from other frames, and timed, by its stamps.
        let mix = Mix { stamped: self.mix.stamped || returns, ..self.mix };
        let traffic = traffic::of(self.place, self.tools.kernel, &mix)?;
        let receiver = returns.then(|| work::receiver(far)).transpose().map_err(of_library)?;
        let dut = self.attach()?;
        Ok(Work::local(far, traffic, dut, receiver, &mix, self.tools))
    }

    fn detach(&mut self) -> Result<(), Error> {
        if let Some(work) = self.at_work.take() {
            work.end().detach().map_err(of_library)?;
        }
        match self.control.take() {
            Some(control) => self.place.near.namespace.run(|| control.detach()),
            None => Ok(()),
        }
    }
}

impl Bench for Seat<'_> {
    fn begin(&mut self) -> Result<(), Halt> {
        match self.take_place() {
            Ok(work) => {
                self.at_work = Some(work);
                Ok(())
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn trial(&mut self, order: Order) -> Result<Trial, Halt> {
        let Some(work) = &mut self.at_work else {
            return Err(Halt::Failed("no program is attached".into()));
        };
        let trial = work.trial(order)?;
        let first = self.returns.is_none() && self.place.far.is_some();
        let returns = *self.returns.get_or_insert_with(|| work::returns(&trial));
        if first && returns {
            // Only now is it known that there is something to receive. What was said of a far end that
            // does not poll is over.
            self.findings.clear();
            self.end()?;
            self.begin()?;
            return self.trial(order);
        }
        Ok(trial)
    }

    fn end(&mut self) -> Result<(), Halt> {
        self.detach().map_err(|error| self.fail(error))
    }
}

/// Where the driver does not count what became of a program's frames, only the program itself tells that
/// one came to it.
fn uncounted(path: Path, hook: &str) -> Option<Finding> {
    let arrivals = || Finding {
        code: "rate-of-arrivals".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "nobody counts what the program at {hook} took: the rate is of frames that arrived at the \
             interface, and says nothing of those lost on the way to it"
        ),
        advice: Some("leave --no-count away".to_owned()),
    };
    (!matches!(path, Path::Native | Path::Hardware)).then(arrivals)
}

/// The library's error where it is one, so that its class is known.
pub(super) fn of_library(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(other) => Error::Host {
            operation: "measure",
            object: "packet rates".to_owned(),
            source: std::io::Error::other(other.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_is_of_arrivals_says_so() {
        for (path, says) in [
            (Path::Native, false),
            (Path::Hardware, false),
            (Path::Buffers, true),
            (Path::AfXdp, true),
        ] {
            assert_eq!(uncounted(path, "tcx").is_some(), says, "{path:?}");
        }
    }
}
