//! What the processors did during a trial, and whose work it was (`/proc/stat`, `/proc/*/stat`).
//!
//! The kernel samples all of this at its tick: indicative over a second, not over ten milliseconds.

use std::collections::BTreeMap;
use std::fs;

use hoist_hwtests::dut::Failure;

use super::machine::Tsc;
use crate::trial::{Cpu, Trial};

/// From which part of its time on a processor is saturated. Ticks are too coarse for all of it.
const SATURATED: f64 = 0.95;

/// What one packet costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Nanoseconds of a processor.
    pub nanoseconds: f64,
    /// Ticks of the TSC, where its rate is known.
    pub cycles: Option<f64>,
}

/// What one packet cost in a trial at full speed: the time of the processors that had no more to
/// give, over the packets. Those that waited for the others are not in it. `None` where the load was
/// intended, or no processor was saturated.
#[must_use]
pub fn cost(trial: &Trial, tsc: Option<&Tsc>) -> Option<Cost> {
    let any_role = trial.cpus.iter().any(|cpu| !cpu.role.is_empty());
    let ours = trial.cpus.iter().filter(|cpu| !any_role || !cpu.role.is_empty());
    let saturated = ours.filter(|cpu| cpu.busy >= SATURATED).count();
    if trial.order.load.is_some() || saturated == 0 || trial.pps() <= 0.0 {
        return None;
    }
    let nanoseconds = saturated as f64 * 1e9 / trial.pps();
    Some(Cost { nanoseconds, cycles: tsc.map(|tsc| nanoseconds * tsc.hz / 1e9) })
}

/// Times of one processor since the machine started, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Times {
    /// User and nice.
    user: u64,
    /// All but idle, waiting for disks, and stolen.
    busy: u64,
    stolen: u64,
    total: u64,
}

/// What a process or thread has used, in ticks, and where it ran last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    parent: u32,
    user: u64,
    all: u64,
    cpu: u32,
}

/// Every processor and process at one time.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    cpus: BTreeMap<u32, Times>,
    /// Processes other than this one, without the kernel's own threads: these do the trial's work.
    others: BTreeMap<u32, Used>,
    /// This process's threads.
    ours: BTreeMap<u32, Used>,
    /// This process with all of its threads, those that ended included.
    whole: Used,
}

impl Sample {
    /// Takes one.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn take() -> Result<Self, Failure> {
        const KTHREADD: u32 = 2;
        let me = std::process::id();
        let mut others = processes("/proc")?;
        others.retain(|pid, used| *pid != me && *pid != KTHREADD && used.parent != KTHREADD);
        let cpus = times(&fs::read_to_string("/proc/stat")?);
        let ours = processes("/proc/self/task")?;
        let whole = used(&fs::read_to_string("/proc/self/stat")?).unwrap_or_default();
        Ok(Self { cpus, others, ours, whole })
    }

    /// Ticks in user space of threads of ours that are no more.
    fn ended_since(&self, earlier: &Self) -> u64 {
        let then = |id: &u32| earlier.ours.get(id).map_or(0, |used| used.user);
        let here = self.ours.iter().map(|(id, used)| used.user.saturating_sub(then(id)));
        self.whole.user.saturating_sub(earlier.whole.user).saturating_sub(here.sum())
    }

    /// What each processor did since an earlier sample. `roles` says what the trial uses some for.
    #[must_use]
    pub fn since(&self, earlier: &Self, roles: &BTreeMap<u32, String>) -> Vec<Cpu> {
        let ended = self.ended_since(earlier);
        let cpus = self.cpus.iter().filter_map(|(cpu, now)| {
            let then = earlier.cpus.get(cpu).copied().unwrap_or_default();
            let total = now.total.saturating_sub(then.total);
            let part =
                |now: u64, then: u64| (now.saturating_sub(then) as f64 / total as f64).min(1.0);
            // All that a process used is told of the processor it ran on last, so that it cannot be
            // more than this one had left beside our own work.
            let busy = now.busy.saturating_sub(then.busy);
            let theirs = spent(&self.others, &earlier.others, *cpu, |used| used.all)
                .min(busy.saturating_sub(spent(&self.ours, &earlier.ours, *cpu, |used| used.all)));
            // Processes that ended meanwhile are in no list, but what they used is in the
            // processor's own count; what they used in the kernel is nowhere. Threads of ours that
            // ended are in the count of the whole process, though not by processor.
            let mine = spent(&self.ours, &earlier.ours, *cpu, |used| used.user);
            let strangers =
                now.user.saturating_sub(then.user).saturating_sub(mine).saturating_sub(ended);
            (total > 0).then(|| Cpu {
                cpu: *cpu,
                role: roles.get(cpu).cloned().unwrap_or_default(),
                busy: part(now.busy, then.busy),
                steal: part(now.stolen, then.stolen),
                foreign: part(theirs.max(strangers), 0),
            })
        });
        cpus.collect()
    }
}

/// Ticks used between two times by those that ran on this processor last.
fn spent(
    now: &BTreeMap<u32, Used>,
    then: &BTreeMap<u32, Used>,
    cpu: u32,
    of: impl Fn(&Used) -> u64,
) -> u64 {
    let here = now.iter().filter(|(_, used)| used.cpu == cpu);
    here.map(|(pid, used)| of(used).saturating_sub(then.get(pid).map_or(0, &of))).sum()
}

/// The lines of processors in `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal.
fn times(text: &str) -> BTreeMap<u32, Times> {
    let line = |line: &str| {
        let mut words = line.strip_prefix("cpu")?.split_whitespace();
        let cpu = words.next()?.parse().ok()?;
        let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        let [user, nice, system, idle, iowait, irq, softirq, stolen] = *ticks.first_chunk()?;
        let busy = user + nice + system + irq + softirq;
        Some((cpu, Times { user: user + nice, busy, stolen, total: busy + idle + iowait + stolen }))
    };
    // The first line is that of all together, and has no number.
    text.lines().filter(|line| !line.starts_with("cpu ")).filter_map(line).collect()
}

/// Every process or thread with a directory here. Those that end meanwhile are left out.
fn processes(directory: &str) -> Result<BTreeMap<u32, Used>, Failure> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory)?.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let text = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        found.extend(used(&text).map(|used| (id, used)));
    }
    Ok(found)
}

/// `/proc/PID/stat` (proc(5)): fields behind the name, which may hold anything, counted from 3.
fn used(text: &str) -> Option<Used> {
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let (user, system) = (field(14)?, field(15)?);
    let number = |field: Option<u64>| u32::try_from(field?).ok();
    Some(Used { parent: number(field(4))?, user, all: user + system, cpu: number(field(39))? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "cpu  999 0 0 0 0 0 0 0 0 0\n\
                          cpu0 100 10 50 800 10 0 30 0 0 0\n\
                          cpu1 0 0 0 1000 0 0 0 0 0 0\nintr 1 2\n";
    const AFTER: &str = "cpu  999 0 0 0 0 0 0 0 0 0\n\
                         cpu0 130 10 90 800 10 0 50 10 0 0\n\
                         cpu1 0 0 0 1100 0 0 0 0 0 0\n";

    fn stat(user: u64, system: u64, cpu: u32) -> String {
        let rest = "0 ".repeat(38 - 15);
        format!("77 (a) name) S 1 0 0 0 0 0 0 0 0 0 {user} {system} {rest}{cpu} 0 0")
    }

    #[test]
    fn parts_of_a_processors_time_are_told_apart() {
        let used = |user, system, cpu| used(&stat(user, system, cpu)).unwrap();
        let before = Sample {
            cpus: times(BEFORE),
            others: [(77, used(5, 5, 0))].into(),
            ours: [(1, used(10, 0, 0))].into(),
            whole: used(10, 0, 0),
        };
        let after = Sample {
            cpus: times(AFTER),
            others: [(77, used(10, 10, 0)), (78, used(3, 0, 1))].into(),
            ours: [(1, used(25, 50, 0))].into(),
            whole: used(25, 50, 0),
        };
        let roles = BTreeMap::from([(0, "generator".to_owned())]);
        let cpus = after.since(&before, &roles);
        // 100 ticks: 30 in user space, of which 15 ours; 40 in the kernel, 20 in softirq, 10 stolen.
        let first = &cpus[0];
        assert_eq!((first.busy, first.steal, first.foreign), (0.9, 0.1, 0.15));
        assert_eq!(first.role, "generator");
        // Process 78 is new, and ran elsewhere before: this processor was idle.
        assert_eq!((cpus[1].busy, cpus[1].foreign), (0.0, 0.0));
    }

    #[test]
    fn foreign_is_only_what_neither_we_did_nor_nobody_could() {
        let used = |user, system, cpu| used(&stat(user, system, cpu)).unwrap();
        let sample = |stat: &str, others: Used, ours: Used, whole: Used| Sample {
            cpus: times(stat),
            others: [(77, others)].into(),
            ours: [(1, ours)].into(),
            whole,
        };
        // The processor was busy for 90 of 100 ticks, 30 of them in user space.
        for (others, ours, whole, foreign) in [
            // Another process used 80 ticks, on another processor mostly: 90 - 75 are left for it here.
            (used(0, 80, 0), used(25, 50, 0), used(25, 50, 0), 0.15),
            // Nothing that anybody knows of.
            (used(0, 0, 1), used(0, 0, 0), used(0, 0, 0), 0.3),
            // A thread of ours that ended.
            (used(0, 0, 1), used(0, 0, 0), used(30, 40, 0), 0.0),
            (used(0, 0, 1), used(10, 0, 0), used(15, 0, 0), 0.15),
        ] {
            let none = used(0, 0, 0);
            let before = sample(BEFORE, none, none, none);
            let cpus = sample(AFTER, others, ours, whole).since(&before, &BTreeMap::new());
            assert_eq!(cpus[0].foreign, foreign, "{others:?} {ours:?} {whole:?}");
        }
    }

    #[test]
    fn a_packet_costs_the_time_of_the_processors_that_were_saturated() {
        let cpu = |cpu, role: &str, busy| Cpu {
            cpu,
            role: role.to_owned(),
            busy,
            steal: 0.0,
            foreign: 0.0,
        };
        let tsc = Tsc { hz: 2e9, known_by: String::new() };
        for (load, cpus, expected) in [
            (None, vec![cpu(0, "", 1.0), cpu(1, "", 0.3)], Some(100.0)),
            (None, vec![cpu(0, "generator", 0.97), cpu(1, "", 1.0)], Some(100.0)),
            (None, vec![cpu(0, "", 1.0), cpu(1, "", 1.0)], Some(200.0)),
            (None, vec![cpu(0, "", 0.9)], None),
            (Some(1e7), vec![cpu(0, "", 1.0)], None),
        ] {
            let trial = Trial {
                order: crate::trial::Order { load, seconds: 1.0 },
                seconds: 1.0,
                intended: 10_000_000,
                generated: 10_000_000,
                received: 10_000_000,
                ledger: crate::trial::Ledger::default(),
                latency: None,
                sequence: None,
                cpus,
                findings: Vec::new(),
            };
            let cost = cost(&trial, Some(&tsc));
            assert_eq!(cost.map(|cost| cost.nanoseconds), expected, "{trial:?}");
            assert_eq!(cost.and_then(|cost| cost.cycles), expected.map(|ns| ns * 2.0));
        }
    }

    #[test]
    fn this_process_is_no_stranger() {
        let sample = Sample::take().unwrap();
        assert!(!sample.cpus.is_empty() && !sample.ours.is_empty());
        assert!(!sample.others.contains_key(&std::process::id()));
    }
}
