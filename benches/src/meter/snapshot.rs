//! Every counter of a trial at one time, and the account of what was added between two times.

use std::collections::BTreeMap;

use hoist_hwtests::dut::Failure;
use hoist_hwtests::lab::Port;
use hoist_offload::attach::Stats;

use super::counters::Reading;
use super::dut::Dut;
use super::ledger::{self, Back, Terms};
use super::receiver::{Receiver, Tally};
use super::traffic::{Injection, Sent};
use crate::trial::Ledger;

/// Every counter.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    sender: Option<Reading>,
    dut: Reading,
    egress: Option<Reading>,
    back: Option<(Reading, Tally)>,
    verdicts: Option<Stats>,
    events: BTreeMap<&'static str, u64>,
}

/// What became of everything between two times.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) ledger: Ledger,
    /// Frames that came to where the result is counted.
    pub(super) received: u64,
    /// What was added to the counters of the interfaces on the way.
    pub(super) interfaces: Vec<Reading>,
    pub(super) back: Option<Tally>,
}

impl Snapshot {
    pub(super) fn take(
        sender: Option<&Port>,
        dut: &Dut,
        receiver: Option<&Receiver>,
    ) -> Result<Self, Failure> {
        let back = |receiver: &Receiver| {
            Ok::<_, Failure>((Reading::of(receiver.port())?, receiver.tally()?))
        };
        Ok(Self {
            sender: sender.map(Reading::of).transpose()?,
            dut: Reading::of(&dut.port)?,
            egress: dut.egress.as_ref().map(Reading::of).transpose()?,
            back: receiver.map(back).transpose()?,
            verdicts: dut.verdicts()?,
            events: dut.events()?,
        })
    }

    pub(super) fn since(
        &self,
        before: &Self,
        sent: Option<(&Sent, Injection)>,
        of: &Dut,
    ) -> Account {
        let more = |now: &Option<Reading>, then: &Option<Reading>| {
            now.as_ref().zip(then.as_ref()).map(|(now, then)| now.since(then))
        };
        let sender = more(&self.sender, &before.sender);
        let egress = more(&self.egress, &before.egress);
        let dut = self.dut.since(&before.dut);
        let back = self.back.as_ref().zip(before.back.as_ref()).map(|(now, then)| {
            let tally = Tally {
                ours: now.1.ours.saturating_sub(then.1.ours),
                foreign: now.1.foreign.saturating_sub(then.1.foreign),
            };
            (now.0.since(&then.0), tally)
        });
        let verdicts = self.verdicts.map(|stats| less(&stats, before.verdicts.as_ref()));
        let mut events = self.events.clone();
        for (name, value) in &mut events {
            *value = value.saturating_sub(before.events.get(name).copied().unwrap_or(0));
        }
        let ledger = ledger::of(&Terms {
            sent,
            sender: sender.as_ref(),
            dut: &dut,
            path: of.path,
            verdicts,
            events: &events,
            private: of.private,
            egress: egress.as_ref(),
            back: back.as_ref().map(|(reading, tally)| Back { reading, tally: *tally }),
        });
        let received = match (&back, verdicts) {
            (Some((_, tally)), _) => tally.ours,
            (None, Some(stats)) => stats.total(),
            (None, None) => ledger::arrivals(&dut).packets,
        };
        let back_tally = back.as_ref().map(|(_, tally)| *tally);
        let interfaces = [sender, Some(dut), egress, back.map(|(reading, _)| reading)];
        let interfaces = interfaces.into_iter().flatten().collect();
        Account { ledger, received, interfaces, back: back_tally }
    }
}

/// What was added.
fn less(now: &Stats, then: Option<&Stats>) -> Stats {
    let mut more = *now;
    let Some(then) = then else { return more };
    for (value, before) in more.packets.iter_mut().zip(then.packets) {
        *value = value.saturating_sub(before);
    }
    for (value, before) in more.bytes.iter_mut().zip(then.bytes) {
        *value = value.saturating_sub(before);
    }
    more
}
