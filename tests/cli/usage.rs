//! Help, exit statuses, and what is said of mistakes.

use std::io::Read;
use std::process::Stdio;

use crate::harness::{Recorded, command, hoist, object, screen};

#[test]
fn help_screens_are_as_recorded() {
    for name in [
        "",
        "probe",
        "plan",
        "run",
        "trace",
        "load",
        "unload",
        "status",
        "map",
        "verify",
        "lint",
        "demo",
        "bench",
        "bench compare",
        "bench linerate",
        "bench report",
    ] {
        let args: Vec<&str> = name.split_whitespace().chain(["-h"]).collect();
        let short = hoist(&args).code(0);
        let file = if name.is_empty() { "hoist" } else { name };
        screen(&format!("help-{}", file.replace(' ', "-")), &short.out);
        let long: Vec<&str> = name.split_whitespace().chain(["--help"]).collect();
        let long = hoist(&long).code(0).out;
        assert!(long.contains("Example") || name == "map" || name == "demo", "{name}:\n{long}");
    }
}

#[test]
fn completions_and_man_pages_come_from_the_definition() {
    for shell in ["bash", "zsh", "fish"] {
        let script = hoist(&["completion", shell]).code(0).out;
        assert!(script.contains("unload") && script.contains("netns"), "{shell}");
    }
    let page = hoist(&["man"]).code(0).out;
    assert!(page.contains(".TH hoist 1") && page.contains("Exit status"), "{page}");
    let directory = tempfile::tempdir().unwrap();
    let man = hoist(&["man", "--out", directory.path().to_str().unwrap(), "-j"]).code(0);
    let pages = man.document()["pages"].as_array().unwrap().len();
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), pages);
    assert!(directory.path().join("hoist-map-dump.1").exists());
    hoist(&["completion", "bash", "-j"]).code(0).document();
}

/// Who asked for documents gets one also of what could not be understood.
#[test]
fn mistyped_arguments_are_a_document_too() {
    let cases: [(&[&str], &str); 3] = [
        (&["plan", "veth0", "-j"], "required arguments were not provided: <OBJ>"),
        (&["plam", "-o", "json"], "unrecognized subcommand 'plam'"),
        (&["probe", "--nothing", "-ojson"], "unexpected argument '--nothing'"),
    ];
    for (args, words) in cases {
        let document = hoist(args).code(2).document();
        assert_eq!((&document["schema"], &document["exit"]), (&"hoist.error.v1".into(), &2.into()));
        assert!(document["error"].as_str().unwrap().contains(words), "{document:#}");
    }
    assert_eq!(hoist(&["plam"]).code(2).out, "");
    hoist(&["--help", "-j"]).code(0);
}

/// Arguments, exit status, and what stderr must hold: the complaint and the next step.
#[test]
fn mistakes_are_told_with_the_next_step() {
    let drop = object("drop");
    let drop = drop.as_str();
    let tail = object("tail_call");
    let tail = tail.as_str();
    let cases: [(&[&str], i32, &[&str]); 26] = [
        (&[], 2, &["Usage: hoist"]),
        (&["plam"], 2, &["plam", "plan"]),
        (&["plan", "veth0"], 2, &["<OBJ>"]),
        (
            &["plan", "vet0", drop],
            2,
            &["there is no interface 'vet0'", "next: did you mean veth0?"],
        ),
        (&["plan", "veth0", "nonesuch.o"], 2, &["cannot read nonesuch.o: No such file", "next:"]),
        (&["plan", "veth0", "Cargo.toml"], 2, &["Cargo.toml: not an ELF object", "next:"]),
        (&["plan", "veth0", "/dev/zero"], 2, &["/dev/zero: more than 64 MiB", "next:"]),
        (&["plan", "veth0", drop, "--maps", "/dev/zero"], 2, &["/dev/zero: more than 64 MiB"]),
        (&["plan", "veth0", "src"], 2, &["src: Is a directory", "next:"]),
        (&["plan", "veth0", tail], 2, &["several programs that fit", "next: for example -n xdp_"]),
        (&["plan", "veth0", drop, "-n", "xdp_dorp"], 2, &["no program 'xdp_dorp'", "-n xdp_drop?"]),
        (&["plan", "veth0", drop, "-s", "tc"], 2, &["no program in section 'tc'"]),
        (&["plan", "veth0", drop, "-m", "natve"], 2, &["did you mean 'native'?"]),
        (&["plan", "veth0", drop, "-m", "xdp,skb"], 2, &["'xdp' stands alone"]),
        (&["plan", "veth0", drop, "-m", "af_xpd"], 2, &["did you mean 'af_xdp'?"]),
        (&["plan", "veth0", drop, "--set", "x"], 2, &["VAR=VALUE"]),
        (&["plan", "veth0", drop, "--set", "x=1"], 2, &["no variable is called 'x'"]),
        (&["plan", "veth0", drop, "--maps", "none.json"], 2, &["none.json: No such file"]),
        (&["plan", "veth0", drop, "--maps", "Cargo.toml"], 2, &["Cargo.toml:", "map dump"]),
        (&["plan", "veth0", tail, "-n", "nope"], 2, &["no program 'nope'"]),
        (&["run", "veth0", drop], 2, &["needs a running kernel", "next: leave --host away"]),
        (&["map", "list"], 2, &["needs a running kernel"]),
        (&["unload", "veth0"], 2, &["needs a running kernel"]),
        (&["status", "vth0"], 2, &["there is no interface 'vth0'", "veth0"]),
        (&["probe", "--record", "/nonexistent/x.json"], 2, &["/nonexistent/x.json: No such file"]),
        (&["--netns", "x", "probe"], 2, &["--netns x", "leave --netns or --host away"]),
    ];
    let host = Recorded::new();
    for (args, code, words) in cases {
        let ran = host.hoist(args).code(code);
        for word in words {
            assert!(ran.err.contains(word), "{args:?} should say '{word}':\n{}", ran.err);
        }
        assert_eq!(ran.out, "", "{args:?}: mistakes go to stderr");
    }
}

#[test]
fn with_json_a_mistake_is_a_document_too() {
    let host = Recorded::new();
    let ran = host.hoist(&["-j", "plan", "veth0", "nonesuch.o"]).code(2);
    let document = ran.document();
    assert_eq!(document["schema"], "hoist.error.v1");
    assert_eq!(document["exit"], 2);
    assert!(document["next"].is_string(), "{document}");
    assert!(ran.err.contains("nonesuch.o"));
}

#[test]
fn bad_recordings_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for (text, words) in [
        ("{", "is not JSON"),
        ("{}", "names no schema"),
        ("{\"schema\": \"hoist.record.v9\"}", "has schema hoist.record.v9"),
        ("{\"schema\": \"hoist.record.v1\"}", "is not a complete recording"),
    ] {
        std::fs::write(path, text).unwrap();
        let ran = hoist(&["--host", path, "probe"]).code(2);
        assert!(ran.err.contains(words) && ran.err.contains("next:"), "{}", ran.err);
    }
    let ran = hoist(&["--host", "/nonexistent.json", "probe"]).code(2);
    assert!(ran.err.contains("/nonexistent.json: No such file"), "{}", ran.err);
}

#[test]
fn a_closed_pipe_is_success() {
    let host = Recorded::new();
    let mut child = command(&["--host", host.path(), "probe", "-j"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn colours_are_for_terminals_or_on_request() {
    let host = Recorded::new();
    let drop = object("drop");
    let escapes = |args: &[&str]| {
        let ran = host.hoist(&[&["plan", "veth0", drop.as_str()], args].concat()).code(0);
        ran.out.contains('\x1b')
    };
    assert!(!escapes(&[]));
    assert!(!escapes(&["--color", "never"]));
    assert!(escapes(&["--color", "always"]));
}
