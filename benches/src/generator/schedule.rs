//! When frames are due.
//!
//! A schedule does not wait for anybody (open loop): the frame of number `n` is due at
//! `start + n * interval`, however late the one before it was, and what is not sent by the end was
//! intended all the same; the end is put off a little for whoever kept up until then ([`Grace`]).
//! Bursts are due at once, at the time of their first frame.
//!
//! Times are counted in 2^-16 ns, so that the interval of any rate is within 0.001 % even at the
//! frames of a 400 Gbit/s wire. `benches/programs/live.bpf.c` adds up the same steps.

/// Bits behind the point.
const FRACTION: u32 = 16;
/// Longest time of a schedule in nanoseconds, 39 hours: what 64 bits hold.
const LONGEST: u64 = 1 << 47;
/// Highest load in frames per second.
const MOST: f64 = 1e9;

/// The frames that one stream intends to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From one burst to the next, in 2^-16 ns.
    pub step: u64,
    /// When the first is due, likewise.
    pub phase: u64,
    /// Frames in a burst.
    pub burst: u32,
    /// Nanoseconds from the start in which frames are due.
    pub duration: u64,
}

/// Why there is no such schedule.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    /// A load that is none.
    #[error(
        "a load of {0} frames per second is not one that can be scheduled; it must be above 0 and at most 1e9"
    )]
    Load(f64),
    /// A time that is none.
    #[error("{0} s is not a time that can be scheduled; it must be above 0 and at most 39 hours")]
    Time(f64),
}

impl Schedule {
    /// The share of one of `streams` streams in a load of all together. Streams take turns.
    ///
    /// # Errors
    /// No schedule has this load or lasts as long.
    pub fn new(
        load: f64,
        seconds: f64,
        burst: u32,
        (stream, streams): (u32, u32),
    ) -> Result<Self, ScheduleError> {
        if !(load > 0.0 && load <= MOST) {
            return Err(ScheduleError::Load(load));
        }
        let duration = duration(seconds)?;
        let each = 1e9 * f64::from(1_u32 << FRACTION) * f64::from(burst.max(1)) / load;
        // Beyond the longest time, no second burst is ever due, however much further it is.
        let longest = (LONGEST << FRACTION) as f64;
        let step = (each * f64::from(streams.max(1))).clamp(1.0, longest).round() as u64;
        let phase = (each * f64::from(stream)).min(longest).round() as u64;
        Ok(Self { step, phase, burst: burst.max(1), duration })
    }

    /// Frames that are due before a time after the start, in nanoseconds.
    #[must_use]
    pub fn intended(&self, nanoseconds: u64) -> u64 {
        let end = nanoseconds.min(self.duration).min(LONGEST) << FRACTION;
        end.saturating_sub(self.phase).div_ceil(self.step).saturating_mul(u64::from(self.burst))
    }

    /// When a frame is due after the start, in nanoseconds.
    #[must_use]
    pub fn due(&self, frame: u64) -> u64 {
        let steps = u128::from(frame / u64::from(self.burst)) * u128::from(self.step);
        u64::try_from((steps + u128::from(self.phase)) >> FRACTION).unwrap_or(u64::MAX)
    }
}

/// How long after the end of a schedule frames that are overdue are still sent, in nanoseconds.
///
/// A processor that is lost for milliseconds in mid-trial catches up afterwards; at the end it could
/// not, and a trial would be lost for what happens to every machine. A generator that is too slow
/// is another matter: it is behind from the start, and gets no more time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// After the end.
    pub nanoseconds: u64,
    /// After the start: whoever had nothing overdue at this time or later may use it.
    pub kept_up: u64,
}

impl Grace {
    /// A twentieth of a schedule that lasts this long, at most 50 ms.
    #[must_use]
    pub fn of(duration: u64) -> Self {
        const MOST: u64 = 50_000_000;
        Self { nanoseconds: (duration / 20).min(MOST), kept_up: duration - duration / 4 }
    }
}

/// Seconds in nanoseconds.
///
/// # Errors
/// Nothing lasts as long.
pub fn duration(seconds: f64) -> Result<u64, ScheduleError> {
    let nanoseconds = seconds * 1e9;
    if nanoseconds >= 1.0 && nanoseconds <= LONGEST as f64 {
        return Ok(nanoseconds.round() as u64);
    }
    Err(ScheduleError::Time(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_intended_as_the_load_says() {
        for (load, seconds, burst, streams) in [
            (1.0, 1.0, 1, 1),
            (0.001, 10.0, 1, 1),
            (1e6, 1.0, 1, 1),
            (1e6, 1.0, 1, 2),
            (3e6, 0.1, 32, 1),
            (7e6, 1.0, 32, 3),
            (14_880_952.38, 60.0, 1, 2),
            (595_238_095.0, 60.0, 1, 64),
            (1e9, 3600.0, 1, 1),
            (1e9, 1e5, 1, 1),
        ] {
            let all: u64 = (0..streams)
                .map(|s| Schedule::new(load, seconds, burst, (s, streams)).unwrap())
                .map(|s| s.intended(u64::MAX))
                .sum();
            let wanted = load * seconds;
            let least = f64::from(burst * streams);
            let off = (all as f64 - wanted).abs();
            assert!(off <= least.max(wanted * 1e-5), "{load} for {seconds} s: {all}");
        }
    }

    #[test]
    fn a_frame_is_intended_when_it_is_due_before_the_end() {
        for (load, burst, stream) in
            [(3e6, 1, (0, 1)), (1e6, 1, (1, 3)), (5e6, 7, (1, 2)), (0.5, 1, (0, 1))]
        {
            let schedule = Schedule::new(load, 1e-3, burst, stream).unwrap();
            for at in [0, 1, 999, 12_345, 500_000, 1_000_000] {
                let intended = schedule.intended(at);
                let counted = (0..20_000).take_while(|n| schedule.due(*n) < at).count() as u64;
                // A burst whose time has a fraction is due a nanosecond before that is reached.
                assert!(
                    intended.abs_diff(counted) <= u64::from(burst),
                    "{load} {burst} {stream:?} at {at}: {intended} {counted}"
                );
            }
        }
    }

    #[test]
    fn streams_take_turns_and_bursts_come_at_once() {
        let due =
            |burst, stream, frame| Schedule::new(1e6, 1.0, burst, (stream, 2)).unwrap().due(frame);
        assert_eq!([due(1, 0, 0), due(1, 1, 0), due(1, 0, 1), due(1, 1, 1)], [0, 1000, 2000, 3000]);
        assert_eq!([due(4, 0, 3), due(4, 1, 0), due(4, 0, 4)], [0, 4000, 8000]);
    }

    #[test]
    fn the_end_is_put_off_by_a_twentieth_and_at_most_50_ms() {
        let grace = |ms: u64| Grace::of(ms * 1_000_000).nanoseconds / 1000;
        assert_eq!([grace(20), grace(500), grace(60_000)], [1000, 25_000, 50_000]);
    }

    #[test]
    fn what_cannot_be_scheduled_is_refused() {
        for (load, seconds) in [
            (0.0, 1.0),
            (-1.0, 1.0),
            (f64::NAN, 1.0),
            (f64::INFINITY, 1.0),
            (1.1e9, 1.0),
            (1.0, 0.0),
            (1.0, -1.0),
            (1.0, f64::NAN),
            (1.0, 2e5),
        ] {
            assert!(Schedule::new(load, seconds, 1, (0, 1)).is_err(), "{load} for {seconds} s");
        }
    }
}
