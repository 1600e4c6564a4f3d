//! What a card would refuse, as anybody and without a kernel's help.

use std::path::Path;

use crate::harness::{hoist, object, root, screen};

#[test]
fn a_program_that_is_rewritten_and_one_that_is_refused() {
    let folder = root();
    let run = |name: &str, code: i32| {
        let path = object(name);
        let shown = Path::new(&path).strip_prefix(&folder).map(|p| p.display().to_string());
        hoist(&["lint", &shown.unwrap_or(path)]).code(code).out
    };
    screen("lint-count_proto", &run("count_proto", 0));
    screen("lint-ringbuf", &run("ringbuf", 1));
}

#[test]
fn the_document_has_places_and_sources() {
    let redirect = hoist(&["lint", &object("redirect"), "-j"]).code(1).document();
    assert_eq!(redirect["accepted"], false);
    let program = &redirect["programs"][0];
    let gap = &program["gaps"][0];
    assert_eq!((&program["verdict"], &gap["code"]), (&"refused".into(), &"card-helper".into()));
    assert!(gap["line"]["line"].is_number() && gap["remedy"].is_string(), "{gap:#}");
    let follows = gap["evidence"]["detail"].as_str().unwrap();
    assert!(follows.contains("verifier.c: nfp_bpf_check_helper_call"), "{follows}");
    assert!(program["demands"].as_array().unwrap().iter().any(|d| d["parameter"] == "stack_bytes"));
}

/// What the user says of the firmware decides what depends on it.
#[test]
fn parameters_decide() {
    let cut = object("tail_shrink");
    let verdict = |said: &[&str], code: i32| {
        let args = [&["lint", cut.as_str(), "-j"], said].concat();
        hoist(&args).code(code).document()["programs"][0]["verdict"].clone()
    };
    assert_eq!(verdict(&[], 0), "depends");
    let all =
        ["--parameter", "adjust_tail=yes,stack_bytes=64", "--parameter", "max_instructions=4096"];
    assert_eq!(verdict(&all, 0), "accepted");
    assert_eq!(verdict(&["--parameter", "adjust_tail=no"], 1), "refused");
}

#[test]
fn several_objects_make_a_table() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["drop", "redirect"] {
        std::fs::copy(object(name), folder.path().join(format!("{name}.o"))).unwrap();
    }
    let path = folder.path().to_str().unwrap();
    let ran = hoist(&["lint", path]).code(1);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[1].starts_with("drop.o") && lines[1].contains("depends"), "{}", ran.out);
    assert!(
        lines[2].contains("card-helper") && lines[3] == "nfp: 1 of 2 programs refused",
        "{}",
        ran.out
    );
    std::fs::write(folder.path().join("bad.o"), "no object").unwrap();
    let ran = hoist(&["lint", path]).code(2);
    assert!(ran.out.contains("not judged: ") && ran.out.contains("redirect.o"), "{}", ran.out);
    let document = hoist(&["lint", path, "-j"]).code(2).document();
    assert_eq!(document["skipped"].as_array().unwrap().len(), 1);
}

/// What --print-profile prints, --profile reads; a simulator takes what a card does not.
#[test]
fn profiles_are_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("card.json");
    let printed = hoist(&["lint", "--print-profile", "nfp"]).code(0);
    let mut profile = printed.document();
    profile["parameters"]["adjust_tail"]["value"] = 0.into();
    std::fs::write(&file, profile.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let cut = object("tail_shrink");
    let refused = hoist(&["lint", &cut, "--profile", file, "-j"]).code(1).document();
    assert_eq!(refused["programs"][0]["gaps"][0]["code"], "card-firmware");
    hoist(&["lint", &object("redirect"), "--profile", "netdevsim"]).code(0);
    let acl = object("acl");
    hoist(&["lint", &acl, "--profile", "netdevsim"]).code(1);
    hoist(&["lint", &acl, "--profile", "netdevsim", "--max-entries", "rules=2"]).code(0);
}

#[test]
fn mistakes_say_what_to_do() {
    let drop = object("drop");
    let acl = object("acl");
    let calls = object("tail_call");
    let cases: [(&[&str], &[&str]); 13] = [
        (&["lint"], &["<OBJ>"]),
        (&["lint", "nonesuch.o"], &["cannot read nonesuch.o", "next:"]),
        (&["lint", "Cargo.toml"], &["Cargo.toml: not an ELF object"]),
        (&["lint", "src"], &["src: no object files", "next: name the object files"]),
        (&["lint", &drop, "--profile", "nfpp"], &["there are nfp, netdevsim", "did you mean nfp?"]),
        (&["lint", &drop, "--profile", "Cargo.toml"], &["Cargo.toml: ", "--print-profile"]),
        (&["lint", &drop, "--parameter", "stack_byte=1"], &["did you mean stack_bytes?"]),
        (&["lint", &drop, "-n", "xdp_dorp"], &["there is no program 'xdp_dorp'"]),
        (&["lint", &drop, "--parameter", "adjust_tail=5"], &["--parameter adjust_tail=yes"]),
        (&["lint", &drop, "--accept", "lru-bund"], &["did you mean 'lru-bound'?"]),
        (
            &["lint", &object("globals"), "--max-entries", ".bss=2"],
            &[".bss=2: it holds the object's variables"],
        ),
        (&["lint", &calls, "--max-entries", "next=1"], &["next=1: the object fills its slot"]),
        (&["lint", &acl, "--max-entries", "rulez=1"], &["no such map", "did you mean 'rules'?"]),
    ];
    for (args, words) in cases {
        let ran = hoist(args).code(2);
        for word in words {
            assert!(ran.err.contains(word), "{args:?}: {}", ran.err);
        }
    }
}
