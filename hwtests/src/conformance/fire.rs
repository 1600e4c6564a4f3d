//! Shots at an attached program.
//!
//! Nearly everything on a veth happens while the frame is being sent, so a shot is over as soon as
//! the program has counted it and what must arrive has arrived: no shot waits for silence. What
//! arrives too late is seen by a later shot, which then differs. Hence a shot that differs is fired
//! again with all the time it needs, and so is the shot before it; that decides.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use hoist_offload::{Attachment, Stats};

use super::case::{At, Expect, How};
use super::compare;
use super::expected::Expected;
use super::judge;
use super::normalise;
use super::observe::{Observers, Seen};
use super::onlook::{self, Watch};
use super::place::Place;
use super::reference::Reference;
use super::report::{Evidence, Outcome};
use super::send::Gun;
use super::shot::Shot;
use super::tables::Tables;
use crate::dut::Failure;

/// How long a frame that must arrive is waited for.
const PATIENCE: Duration = Duration::from_millis(400);
/// How long a second attempt waits for what must not arrive.
const SILENCE: Duration = Duration::from_millis(40);
/// How long a real wire takes at most.
const WIRE: Duration = Duration::from_millis(5);

/// A place, with what fires and watches there.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) place: Place,
    observers: Observers,
    gun: Gun,
}

impl Stand {
    pub(super) fn at(place: Place) -> Result<Self, Failure> {
        let (observers, gun) = (Observers::open(&place)?, Gun::open(&place)?);
        Ok(Self { place, observers, gun })
    }
}

/// A program that is attached, and everything that watches it.
pub(super) struct Range<'a> {
    place: &'a Place,
    attached: &'a dyn Attachment,
    tables: &'a Tables,
    observers: &'a mut Observers,
    gun: &'a mut Gun,
    reference: &'a mut Reference,
    padded: bool,
}

impl<'a> Range<'a> {
    pub(super) fn open(
        stand: &'a mut Stand,
        attached: &'a dyn Attachment,
        tables: &'a Tables,
        shots: &[&Shot],
        protocols: &BTreeSet<u16>,
        reference: &'a mut Reference,
        padded: bool,
    ) -> Result<Self, Failure> {
        let instead =
            |s: &&Shot| s.known.iter().filter_map(|k| k.instead.clone()).collect::<Vec<_>>();
        let sockets: Vec<_> = shots
            .iter()
            .flat_map(|s| instead(s).into_iter().chain([s.expect.clone()]))
            .filter_map(|expect| expect.socket)
            .collect();
        let udp = sockets.iter().filter_map(|s| s.udp).collect();
        let tcp = sockets.iter().filter_map(|s| s.tcp).collect();
        let Stand { place, observers, gun } = stand;
        observers.watch(place, protocols.iter().copied())?;
        observers.listen(place, &udp, &tcp)?;
        // What is still under way belongs to another program's shots.
        thread::sleep(WIRE);
        observers.collect(&mut Seen::default())?;
        Ok(Self { place, attached, tables, observers, gun, reference, padded })
    }

    /// One outcome for each shot.
    pub(super) fn fire_all(&mut self, shots: &[&Shot], engine: &str) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(shots.len());
        for (index, shot) in shots.iter().enumerate() {
            let outcome = self.outcome(shot, engine, Duration::ZERO);
            if outcome.is_explained() {
                outcomes.push(outcome);
                continue;
            }
            if let Some(before) = index.checked_sub(1) {
                outcomes[before] = self.outcome(shots[before], engine, SILENCE);
            }
            outcomes.push(self.outcome(shot, engine, SILENCE));
        }
        if let (Some(shot), Some(last)) = (shots.last(), outcomes.last_mut())
            && self.leftovers()
        {
            *last = self.outcome(shot, engine, SILENCE);
        }
        outcomes
    }

    /// Whether anything arrives after the last shot.
    fn leftovers(&mut self) -> bool {
        thread::sleep(WIRE);
        let mut seen = Seen::default();
        self.observers.collect(&mut seen).is_ok() && seen.frames() > 0
    }

    fn outcome(&mut self, shot: &Shot, engine: &str, silence: Duration) -> Outcome {
        self.fire(shot, engine, silence).unwrap_or_else(|error| Outcome::Differs {
            known: None,
            differences: vec![format!("could not be tried: {error}")],
        })
    }

    /// Fires once, and looks for `silence` longer than needed.
    fn fire(&mut self, shot: &Shot, engine: &str, silence: Duration) -> Result<Outcome, Failure> {
        if shot.by == Some(Evidence::TestRun) {
            let why = "only a test run shows it".to_owned();
            return Ok(Outcome::NotRun { why });
        }
        if self.padded && (shot.expect.socket.is_some() || shot.how == How::Socket) {
            let why = "real sockets need the laboratory's addresses".to_owned();
            return Ok(Outcome::NotRun { why });
        }
        if shot.how == How::SecondQueue && thread::available_parallelism()?.get() < 2 {
            return Ok(Outcome::NotRun { why: "there is no second CPU".to_owned() });
        }
        let watch = match &shot.expect.onlookers {
            None => None,
            Some(asked) => match Watch::open(self.place, asked)? {
                Ok(watch) => Some(watch),
                Err(why) => return Ok(Outcome::NotRun { why }),
            },
        };
        let tables = self.tables;
        self.place.dut.inside(|| tables.reset(&shot.maps))?;
        thread::sleep(silence);
        // What came late belongs to an earlier shot.
        if silence > Duration::ZERO {
            self.observers.collect(&mut Seen::default())?;
        }
        let before = self.counted()?;
        let frame = shot.frame.bytes();
        for _ in 0..shot.times {
            self.gun.fire(self.place, shot, &frame)?;
        }
        let seen = self.watch(shot, before, silence)?;
        let looked = watch.map(Watch::finish).transpose()?.unwrap_or_default();
        let outcome: Result<_, Failure> =
            judge::fired(shot, engine, Evidence::RealTraffic, |expect| {
                let names = &self.place.names;
                let expected = Expected::of(expect, &frame, names)?;
                let mut found = compare::traffic(shot, expect, &expected, &seen, self.padded);
                let (variables, maps) = (&expect.variables_after, &expect.maps_after);
                found.extend(self.tables.differences(variables, maps)?);
                found.extend(onlook::differences(
                    expect.onlookers.as_ref(),
                    &looked,
                    &frame,
                    names,
                )?);
                Ok(found)
            });
        let outcome = outcome?;
        if outcome != Outcome::Passed || shot.maps_vary {
            return Ok(outcome);
        }
        Ok(self.reference.hold(shot, engine, Evidence::RealTraffic, self.tables.dump()?))
    }

    /// Collects until everything expected is there.
    fn watch(
        &mut self,
        shot: &Shot,
        before: Option<Stats>,
        silence: Duration,
    ) -> Result<Seen, Failure> {
        let end = Instant::now() + PATIENCE;
        let mut seen = Seen::default();
        let wanted = u64::from(if normalise::counts_frames(shot.how) { shot.times } else { 1 });
        loop {
            seen.count(before, self.counted()?);
            let counted = seen.verdicts.is_none_or(|v| v.iter().sum::<u64>() >= wanted);
            self.observers.collect(&mut seen)?;
            if (counted && self.complete(shot, &seen)) || Instant::now() >= end {
                break;
            }
            thread::sleep(Duration::from_micros(50));
        }
        let longer = if self.padded { silence.max(WIRE) } else { silence };
        if longer > Duration::ZERO || seen.verdicts.is_none() {
            thread::sleep(longer.max(WIRE));
        }
        self.observers.collect(&mut seen)?;
        seen.count(before, self.counted()?);
        Ok(seen)
    }

    /// Whether as much arrived as the case, or one of its known differences, expects.
    fn complete(&self, shot: &Shot, seen: &Seen) -> bool {
        let enough = |expect: &Expect| {
            let (datagrams, bytes) = compare::wanted_by_sockets(shot, expect);
            let (got_datagrams, got_bytes) = compare::received(seen);
            if got_datagrams < datagrams || got_bytes < bytes {
                return false;
            }
            if !normalise::counts_frames(shot.how) {
                return true;
            }
            let frame = shot.frame.bytes();
            let Ok(expected) = Expected::of(expect, &frame, &self.place.names) else { return true };
            let times = shot.times as usize;
            match expected.at {
                At::Stack => expected.handed.is_none() || seen.stack.len() >= times,
                At::Peer => seen.peer.len() >= times,
                At::Third => seen.third.len() >= times,
                At::PeerAndThird => seen.peer.len().min(seen.third.len()) >= times,
                At::Nowhere => true,
            }
        };
        let overlaid = |k: &super::case::Known| match &k.instead {
            Some(instead) => enough(&judge::overlay(&shot.expect, instead)),
            None => false,
        };
        enough(&shot.expect) || shot.known.iter().any(overlaid)
    }

    fn counted(&self) -> Result<Option<Stats>, Failure> {
        Ok(self.attached.stats()?)
    }
}

/// Whether a shot is about the port that redirects leave by.
pub(super) fn needs_third(shot: &Shot) -> bool {
    let mentions = |value: &serde_json::Value| value.to_string().contains("\"@exit\"");
    shot.expect.at == Some(At::Third)
        || shot.how == How::Requeued
        || shot.maps.values().flatten().any(|e| mentions(&e.value) || mentions(&e.key))
}
