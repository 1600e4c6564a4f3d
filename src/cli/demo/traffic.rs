//! Packets of the demo: a few that are checked one by one, then as many as the engine takes.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use hoist_benches::Generator;
use hoist_benches::meter::{self, Length, MeterError};
use hoist_hwtests::capture::Sender;
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::Lab;
use hoist_offload::attach::{Attachment, Stats};
use hoist_offload::bpf::kernel::{Kernel, netns};
use hoist_offload::{EngineKind, Error, Hook, Verdict};
use serde::Serialize;

use super::lab_error;
use crate::cli::failure::Failure;
use crate::cli::schema::packets;

/// Frames sent of each kind, one by one.
const FRAMES: u64 = 5;

/// What was seen of one engine.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    /// The engine in effect.
    pub engine: EngineKind,
    /// Where it attaches.
    pub hook: Hook,
    /// The program.
    pub program: String,
    /// Frames that were checked one by one.
    pub checked: Vec<Checked>,
    /// Packets by verdict, the measurement included.
    pub packets: BTreeMap<&'static str, u64>,
    /// Bytes of each frame of the measurement, without FCS.
    pub frame_bytes: usize,
    /// How the rate was taken.
    pub measured_by: &'static str,
    /// Packets per second that the program judged; absent where the frames did not arrive.
    pub pps: Option<f64>,
    /// Frames sent in the measurement that the program did not see.
    pub lost: Option<u64>,
    /// Why a figure is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One kind of frame and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct Checked {
    /// What was sent, in words.
    pub frame: &'static str,
    /// What the program should say.
    pub expected: Verdict,
    /// What it said; the expectation's opposite when the counters moved otherwise.
    pub verdict: Verdict,
}

/// Checks and measures one running program. `None` when it was stopped.
///
/// # Errors
/// The laboratory, the counters or the generator failed.
pub(super) fn measure(
    lab: &Lab,
    kernel: &Arc<dyn Kernel>,
    program: &str,
    attachment: &dyn Attachment,
    window: Duration,
    stop: &AtomicBool,
) -> Result<Option<Measured>, Failure> {
    let effective = attachment.effective()?;
    let frame = |source: [u8; 4]| {
        let near = lab.near();
        Frame::eth(lab.far().mac, near.mac).ipv4(source, Lab::NEAR).udp(4000, 9).bytes()
    };
    let sender = Sender::open(lab.far()).map_err(lab_error)?;
    let cases: [(&'static str, [u8; 4], Verdict); 2] = [
        ("UDP from 198.51.100.7 (blocked)", [198, 51, 100, 7], Verdict::Drop),
        ("UDP from 10.0.0.2", Lab::FAR.octets(), Verdict::Pass),
    ];
    let mut checked = Vec::new();
    for (words, source, expected) in cases {
        let verdict = observe(attachment, expected, || {
            sender.send_many(&frame(source), FRAMES as usize).map_err(lab_error)
        })?;
        checked.push(Checked { frame: words, expected, verdict });
    }
    let blocked = frame([198, 51, 100, 7]);
    let frame_bytes = blocked.len();
    let length = Length { window, ..Length::default() };
    let far = lab.far();
    let trial = {
        let _there = netns::scoped(far.namespace.as_fd())?;
        Generator::new(kernel.clone(), far.ifindex, blocked)
            .map_err(MeterError::Generator)
            .and_then(|generator| {
                meter::measure(&generator, length, stop, || Ok(stats(attachment)?.total()))
            })
    };
    let (pps, lost, note) = match trial {
        Ok(trial) => (Some(trial.pps), Some(trial.lost()), None),
        Err(MeterError::Stopped) => return Ok(None),
        Err(MeterError::Counter(error)) => return Err(Failure::Error(error)),
        Err(error @ MeterError::Generator(_)) => (None, None, Some(error.to_string())),
    };
    Ok(Some(Measured {
        engine: effective.engine,
        hook: effective.hook,
        program: program.to_owned(),
        checked,
        packets: packets(&stats(attachment)?),
        frame_bytes,
        measured_by: "frames redirected inside the kernel, counted by the program",
        pps,
        lost,
        note,
    }))
}

/// The verdict that all of a few frames got.
fn observe(
    attachment: &dyn Attachment,
    expected: Verdict,
    send: impl FnOnce() -> Result<(), Error>,
) -> Result<Verdict, Failure> {
    let before = stats(attachment)?;
    send()?;
    let start = Instant::now();
    loop {
        let now = stats(attachment)?;
        let more = |verdict: Verdict| now.of(verdict) - before.of(verdict);
        if more(expected) >= FRAMES {
            return Ok(expected);
        }
        if start.elapsed() > Duration::from_secs(1) {
            let other = Verdict::ALL.into_iter().filter(|v| *v != expected);
            return Ok(other.max_by_key(|v| more(*v)).unwrap_or(Verdict::Aborted));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn stats(attachment: &dyn Attachment) -> Result<Stats, Error> {
    Ok(attachment.stats()?.unwrap_or_default())
}
