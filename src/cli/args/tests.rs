use clap::{CommandFactory, Parser};
use hoist_offload::plan::{Choice, Wanted};
use hoist_offload::{EngineKind, Hook};

use super::map::SelectorError;
use super::values::{Assignment, EngineList};
use super::{Command, Interval, LowArgs, MapSelector};

#[test]
fn the_definition_is_sound() {
    LowArgs::command().debug_assert();
}

/// Every command with its subcommands, by its words.
fn commands(command: clap::Command, path: &str, all: &mut Vec<(String, clap::Command)>) {
    let path = format!("{path} {}", command.get_name());
    for sub in command.get_subcommands() {
        commands(sub.clone(), &path, all);
    }
    all.push((path.trim().to_owned(), command));
}

#[test]
fn short_help_fits_a_screen_and_long_help_fits_its_width() {
    let mut root = LowArgs::command();
    root.build();
    let mut all = Vec::new();
    commands(root, "", &mut all);
    assert!(all.len() > 15, "{}", all.len());
    for (path, mut command) in all {
        let short = command.render_help().to_string();
        assert!(short.lines().count() < 40, "{path} -h: {} lines", short.lines().count());
        for text in [short, command.render_long_help().to_string()] {
            for line in text.lines() {
                assert!(line.chars().count() <= 100, "{path}: {line}");
            }
        }
    }
}

#[test]
fn interfaces_come_before_the_object() {
    let args = LowArgs::try_parse_from(["hoist", "run", "a", "b", "x.o", "-m", "drv,skb", "-j"]);
    let Command::Run(run) = args.expect("valid").command else { panic!("not run") };
    assert_eq!(run.attach.interfaces, ["a", "b"]);
    assert_eq!(run.attach.object.to_str(), Some("x.o"));
    assert_eq!(
        run.attach.program.engine.choice,
        Choice::listed([EngineKind::Native, EngineKind::Generic])
    );
    assert!(LowArgs::try_parse_from(["hoist", "run", "x.o"]).is_err());
    assert!(LowArgs::try_parse_from(["hoist", "sta"]).is_ok(), "prefixes are enough");
}

#[test]
fn engines_are_known_by_every_peer_s_name() {
    let kind = Wanted::from;
    let tcx = Wanted::at(EngineKind::Tc, Hook::Tcx);
    let clsact = Wanted::at(EngineKind::Tc, Hook::Clsact);
    let cases: [(&str, Option<Vec<Wanted>>); 10] = [
        ("hw", Some(vec![kind(EngineKind::Hw)])),
        ("offload", Some(vec![kind(EngineKind::Hw)])),
        ("xdpdrv,xdpgeneric", Some(vec![kind(EngineKind::Native), kind(EngineKind::Generic)])),
        ("native,drv", Some(vec![kind(EngineKind::Native)])),
        ("tc", Some(vec![kind(EngineKind::Tc)])),
        ("tcx", Some(vec![tcx])),
        ("clsact,tcx,clsact", Some(vec![clsact, tcx])),
        ("natve", None),
        ("auto,native", None),
        ("", None),
    ];
    for (text, expected) in cases {
        let parsed = text.parse::<EngineList>().ok().map(|l| l.choice);
        assert_eq!(parsed, expected.map(Choice::Listed), "{text}");
    }
    for word in ["auto", "xdp", "unspecified"] {
        assert_eq!(word.parse::<EngineList>().map(|l| l.choice), Ok(Choice::Auto), "{word}");
    }
    let error = "natve".parse::<EngineList>().expect_err("no such engine");
    assert!(error.contains("did you mean 'native'?"), "{error}");
}

#[test]
fn times_have_units() {
    let cases = [
        ("10", Some(10_000)),
        ("10s", Some(10_000)),
        ("500ms", Some(500)),
        ("1.5s", Some(1500)),
        ("2m", Some(120_000)),
        ("0", None),
        ("-1s", None),
        ("1e400s", None),
        ("99999999999999999999h", None),
        ("s", None),
        ("ten", None),
    ];
    for (text, expected) in cases {
        let millis = text.parse::<Interval>().ok().map(|i| i.0.as_millis());
        assert_eq!(millis, expected, "{text}");
    }
}

#[test]
fn assignments_split_at_the_first_equals_sign() {
    let set: Assignment = "cfg={\"a\": \"x=y\"}".parse().expect("valid");
    assert_eq!((set.name.as_str(), set.value.as_str()), ("cfg", "{\"a\": \"x=y\"}"));
    assert!("cfg".parse::<Assignment>().is_err());
    assert!("=1".parse::<Assignment>().is_err());
}

#[test]
fn maps_are_selected_in_four_ways() {
    let words = |s: &str| s.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let cases = [
        ("id 7 10.0.0.1 1", Ok((MapSelector::Id(7), 2))),
        ("name blocked", Ok((MapSelector::Name("blocked".into()), 0))),
        ("pinned /sys/fs/bpf/m k", Ok((MapSelector::Pinned("/sys/fs/bpf/m".into()), 1))),
        ("/sys/fs/bpf/m", Ok((MapSelector::Pinned("/sys/fs/bpf/m".into()), 0))),
        (
            "eth0/blocked k",
            Ok((MapSelector::Attached { interface: "eth0".into(), name: "blocked".into() }, 1)),
        ),
        ("blocked", Err(SelectorError::NotAMap("blocked".into()))),
        ("eth0/", Err(SelectorError::NotAMap("eth0/".into()))),
        ("id", Err(SelectorError::Incomplete("id".into()))),
        ("id x", Err(SelectorError::NotAnId("x".into()))),
    ];
    for (text, expected) in cases {
        let words = words(text);
        let found = MapSelector::split(&words).map(|(s, rest)| (s, rest.len()));
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn rates_are_read_with_their_units() {
    use super::values::Rate;
    for (text, rate) in
        [("40000", 4e4), ("250k", 2.5e5), ("1.5M", 1.5e6), ("14.88Mpps", 14.88e6), ("0.1G", 1e8)]
    {
        assert_eq!(text.parse(), Ok(Rate(rate)), "{text}");
    }
    for wrong in ["", "k", "0", "-1", "1.5.1M", "1Mbit", "0.1", "99G"] {
        assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
    }
}
