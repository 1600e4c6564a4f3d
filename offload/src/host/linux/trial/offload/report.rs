//! Everything a device takes, in one report.

use std::collections::BTreeMap;

use hoist_bpf::insn::Insn;
use hoist_bpf::kernel::{KernelError, MapSpec};
use hoist_bpf::names;

use super::super::{EXIT, Findings, SCHED_CLS, Trial, XDP, no, returns, yes};
use super::ask::{Asker, Piece};
use super::card::{Card, Log};
use super::judge::judge;
use super::pieces::{Maps, context, helpers, instructions, memory};
use super::{inferred_no, limits};
use crate::capability::Answer;
use crate::host::offload::{Limit, OffloadReport, ProgramReport};
use crate::host::report::Finding;

const HASH: u32 = 1;
const ARRAY: u32 = 2;
const PROG_ARRAY: u32 = 3;
const PERF_EVENT_ARRAY: u32 = 4;
/// Bytes of a value of the map that trials share.
const VALUE_BYTES: u32 = 32;
const BPF_PSEUDO_CALL: u8 = 1;

const XDP_VERDICTS: [(&str, i32); 6] = [
    ("XDP_ABORTED", 0),
    ("XDP_DROP", 1),
    ("XDP_PASS", 2),
    ("XDP_TX", 3),
    ("XDP_REDIRECT", 4),
    ("5, which has no name", 5),
];

const TC_VERDICTS: [(&str, i32); 10] = [
    ("TC_ACT_UNSPEC", -1),
    ("TC_ACT_OK", 0),
    ("TC_ACT_RECLASSIFY", 1),
    ("TC_ACT_SHOT", 2),
    ("TC_ACT_PIPE", 3),
    ("TC_ACT_STOLEN", 4),
    ("TC_ACT_QUEUED", 5),
    ("TC_ACT_REPEAT", 6),
    ("TC_ACT_REDIRECT", 7),
    ("TC_ACT_TRAP", 8),
];

/// Asks a device of a driver everything. `coarse` is what [`super::offload`] found: only the program and
/// map types that it takes are asked about.
pub(in super::super::super) fn report(
    trial: &Trial<'_>,
    ifindex: u32,
    driver: &str,
    coarse: &Findings,
) -> OffloadReport {
    let takes = |name: &str| coarse.get(name).is_some_and(|f| f.answer == Answer::Yes);
    let card = Card::new(trial, ifindex, driver);
    let maps = maps(&card, takes("array"), takes("hash"));
    // The types wait for the kernel in turn, and the driver for nobody.
    let types =
        [("xdp", XDP), ("sched_cls", SCHED_CLS)].into_iter().filter(|(name, _)| takes(name));
    let (programs, map_limits) = std::thread::scope(|scope| {
        let programs: Vec<_> = types
            .map(|(name, kind)| {
                let (card, maps) = (Card::new(trial, ifindex, driver), &maps);
                let ask = move || (name.to_owned(), program(&card, kind, maps), card.trials());
                scope.spawn(ask)
            })
            .collect();
        let map_limits = map_limits(&card, takes);
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        (programs.into_iter().map(join).collect::<Vec<_>>(), map_limits)
    });
    let trials = programs.iter().map(|(.., trials)| *trials).sum::<u32>() + card.trials();
    let programs: BTreeMap<String, ProgramReport> =
        programs.into_iter().map(|(name, program, _)| (name, program)).collect();
    let mut map_types = other_maps();
    for name in ["hash", "array"] {
        map_types.extend(coarse.get(name).map(|finding| (name.to_owned(), finding.clone())));
    }
    if let Some(output) = programs.values().find_map(|p| p.helpers.get("bpf_perf_event_output")) {
        map_types.insert("perf_event_array".to_owned(), output.clone());
    }
    OffloadReport { programs, map_types, map_limits, trials, ..Default::default() }
}

fn map_limits(
    card: &Card<'_>,
    takes: impl Fn(&str) -> bool,
) -> BTreeMap<String, BTreeMap<String, Limit>> {
    [("hash", HASH), ("array", ARRAY)]
        .into_iter()
        .filter(|(name, _)| takes(name))
        .map(|(name, kind)| {
            let found = limits::maps(card, kind).map(|(what, limit)| (what.to_owned(), limit));
            (name.to_owned(), BTreeMap::from(found))
        })
        .collect()
}

fn program(card: &Card<'_>, kind: u32, maps: &Maps) -> ProgramReport {
    let asker = Asker { card, kind };
    let (calls, untried) = helpers::pieces(kind, maps);
    let mut found_helpers = asker.ask(&calls);
    found_helpers.extend(untried);
    let (pieces, untried) = memory::pieces(kind, maps);
    let mut features = asker.ask(&pieces);
    features.extend(untried);
    features.insert("subprogram".to_owned(), subprogram(card, kind));
    let verdicts: &[(&str, i32)] = if kind == XDP { &XDP_VERDICTS } else { &TC_VERDICTS };
    let limits = [
        ("stack-bytes", limits::stack(card, kind)),
        ("instructions", limits::instructions(card, kind)),
    ];
    ProgramReport {
        helpers: found_helpers,
        instructions: asker.ask(&instructions::pieces(kind)),
        atomics: memory::atomics(maps)
            .map_or_else(|untried| untried, |pieces: Vec<Piece>| asker.ask(&pieces)),
        context: asker.ask(&context::pieces(kind)),
        features,
        verdicts: returning(card, kind, verdicts),
        limits: limits.map(|(name, limit)| (name.to_owned(), limit)).into(),
    }
}

/// Constants to return: in one program, which has to read the packet to keep them apart; if that is
/// refused, for whatever reason, one after the other in programs that do nothing else.
fn returning(card: &Card<'_>, kind: u32, verdicts: &[(&str, i32)]) -> Findings {
    let all = memory::choice(kind, &verdicts.iter().map(|(_, value)| *value).collect::<Vec<_>>());
    let together = card.load(kind, &all, Log::Complaints).is_ok();
    let verdict = |&(name, value): &(&str, i32)| {
        let found = if together {
            yes("accepted")
        } else {
            finding(card, card.load(kind, &returns(value), Log::Complaints))
        };
        (name.to_owned(), found)
    };
    verdicts.iter().map(verdict).collect()
}

/// `call a function that returns 2`.
fn subprogram(card: &Card<'_>, kind: u32) -> Finding {
    let [value, exit] = returns(2);
    let code = [Insn::new(0x85, 0, BPF_PSEUDO_CALL, 0, 1), EXIT, value, exit];
    finding(card, card.load(kind, &code, Log::Complaints))
}

fn finding<T>(card: &Card<'_>, result: Result<T, KernelError>) -> Finding {
    match result {
        Ok(_) => yes("accepted"),
        Err(error) => judge(card, &error),
    }
}

fn maps(card: &Card<'_>, array: bool, hash: bool) -> Maps {
    let of_device = |kind| {
        let created = card.map(MapSpec {
            kind,
            key_size: 4,
            value_size: VALUE_BYTES,
            max_entries: 1,
            ..MapSpec::default()
        });
        created.map_err(|error| format!("the device gives no map: {}", error.cause()))
    };
    let of_host = |kind| {
        let created = card.trial.kernel.create_map(&MapSpec {
            name: "hoist_trial".to_owned(),
            kind,
            key_size: 4,
            value_size: 4,
            max_entries: 1,
            ..MapSpec::default()
        });
        created.map_err(|error| format!("the host gives no map: {}", error.cause()))
    };
    Maps {
        device: match (array, hash) {
            (true, _) => of_device(ARRAY),
            (false, true) => of_device(HASH),
            (false, false) => Err("the device gives no map".to_owned()),
        },
        perf: of_host(PERF_EVENT_ARRAY),
        host: of_host(ARRAY),
        programs: of_host(PROG_ARRAY),
    }
}

/// Map types that no driver is even asked about.
fn other_maps() -> Findings {
    let why = "bpf_map_offload_map_alloc in kernel/bpf/offload.c takes hash and array only";
    (1..=names::LAST_MAP_TYPE)
        .filter(|kind| !matches!(*kind, HASH | ARRAY | PERF_EVENT_ARRAY))
        .map(|kind| (names::map_type(kind), inferred_no(why)))
        .collect()
}

/// Whether the device is one that takes programs or maps, or has a driver that refused for itself.
pub(in super::super::super) fn is_offload_device(coarse: &Findings) -> bool {
    ["xdp", "sched_cls", "hash", "array"].iter().filter_map(|name| coarse.get(*name)).any(|f| {
        f.answer == Answer::Yes
            || f == &no(super::REFUSED_BY_DRIVER)
            || f == &no(super::UNTRANSLATED)
    })
}
