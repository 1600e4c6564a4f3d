//! Why programs are refused: every reason with its instruction and its source line, all at once.

use std::path::Path;
use std::process::Command;

use hoist_bpf::Module;
use hoist_bpf::module::ProgramId;
use hoist_fallback::tc::translate::{Options, translate};
use hoist_offload::Gap;

use crate::corpus;

const OBJECT: &[u8] = include_bytes!("../objects/refused.bpf.o");

fn refused(module: &Module, program: &str) -> Vec<Gap> {
    let at = module.programs.iter().position(|p| p.name == program).unwrap();
    translate(module, ProgramId(at as u32), &Options::default()).expect_err(program)
}

/// Code, function and words of the source line of each gap.
fn told(gaps: &[Gap]) -> Vec<(&str, &str, &str)> {
    let function =
        |g: &'_ Gap| g.insn.as_deref().map_or("", |i| i.split_once('+').unwrap().0).to_owned();
    gaps.iter()
        .map(|gap| {
            assert_eq!(gap.line.is_some(), gap.insn.is_some(), "{gap:?}");
            assert!(gap.message.len() > 20 && !gap.message.ends_with('.'), "{gap:?}");
            let name = gap.insn.as_deref().and_then(|i| i.split_once('+')).map_or("", |(f, _)| f);
            assert_eq!(name, function(gap));
            (gap.code.as_str(), name, gap.line.as_ref().map_or("", |l| l.text.as_str()))
        })
        .collect()
}

#[test]
fn each_reason_names_its_instruction_and_line() {
    let module = Module::parse("refused", OBJECT).unwrap();
    type Expected = (&'static str, &'static str, &'static str);
    let cases: [(&str, &[Expected]); 14] = [
        (
            "for_a_devmap",
            &[
                ("missing-feature", "", ""),
                ("missing-context-field", "for_a_devmap", "return ctx->egress_ifindex == 1"),
            ],
        ),
        ("for_a_cpumap", &[("missing-feature", "", "")]),
        ("to_a_socket", &[("missing-map-type", "to_a_socket", "return bpf_redirect_map(&sockets")]),
        (
            "to_all_of_a_hash",
            &[("broadcast-hash", "to_all_of_a_hash", "return bpf_redirect_map(&ports_by_key")],
        ),
        (
            "through_a_map_of_maps",
            &[("redirect-map-unknown", "through_a_map_of_maps", "return map ? bpf_redirect_map")],
        ),
        (
            "pointer_over_a_store",
            &[("store-bytes-pointers", "pointer_over_a_store", "bpf_xdp_store_bytes(ctx, 20")],
        ),
        (
            "hash_of_the_nic",
            &[("missing-feature", "hash_of_the_nic", "return bpf_xdp_metadata_rx_hash(ctx")],
        ),
        (
            "for_xdp_alone",
            &[("missing-kfunc", "for_xdp_alone", "return bpf_xdp_get_xfrm_state(ctx")],
        ),
        (
            "casts_the_context",
            &[("missing-kfunc", "casts_the_context", "return bpf_cast_to_kern_ctx(ctx)")],
        ),
        ("context_or_map", &[("context-ambiguous", "fifth_word", "return words[4];")]),
        (
            "a_byte_of_the_context",
            &[("context-misused", "a_byte_of_the_context", "return *(volatile __u8 *)&ctx")],
        ),
        (
            "writes_the_context",
            &[("context-misused", "writes_the_context", "*(volatile __u32 *)&ctx->rx_queue_index")],
        ),
        (
            "moves_the_context",
            &[("context-misused", "moves_the_context", "__u32 *field = &ctx->rx_queue_index;")],
        ),
        ("eight_deep", &[("over-limit", "", "")]),
    ];
    for (program, expected) in cases {
        let gaps = refused(&module, program);
        let told = told(&gaps);
        assert_eq!(told.len(), expected.len(), "{program}: {gaps:?}");
        for (found, expected) in told.iter().zip(expected) {
            assert_eq!((found.0, found.1), (expected.0, expected.1), "{program}");
            assert!(found.2.starts_with(expected.2), "{program}: {:?}", found.2);
        }
    }
}

#[test]
fn all_reasons_are_listed_at_once() {
    let module = Module::parse("refused", OBJECT).unwrap();
    let gaps = refused(&module, "several");
    let mut codes: Vec<&str> = gaps.iter().map(|g| g.code.as_str()).collect();
    codes.sort_unstable();
    let expected = [
        "broadcast-hash",
        "context-misused",
        "missing-feature",
        "missing-map-type",
        "store-bytes-pointers",
    ];
    assert_eq!(codes, expected, "{gaps:?}");
    let maps: Vec<&str> = gaps.iter().filter_map(|g| g.map.as_deref()).collect();
    assert_eq!(maps.len(), 2);
    assert!(maps.contains(&"sockets") && maps.contains(&"ports_by_key"), "{maps:?}");
}

/// `bpf_redirect_map` with flags that are known at run time only.
#[test]
fn a_broadcast_that_may_be_is_told_before() {
    const DEVMAP_HASH: u32 = 25;
    let mut module =
        Module::parse("redirect", include_bytes!("../objects/redirect.bpf.o")).unwrap();
    let at = module.programs.iter().position(|p| p.name == "xdp_flags").unwrap();
    let warned = |module: &Module| {
        let translated = translate(module, ProgramId(at as u32), &Options::default()).unwrap();
        translated.warnings.into_iter().map(|w| (w.code, w.message)).collect::<Vec<_>>()
    };
    assert_eq!(warned(&module), []);
    let map = module.maps.iter_mut().find(|m| m.name == "ports").unwrap();
    map.kind = DEVMAP_HASH;
    let [(code, message)] = &warned(&module)[..] else { panic!("one warning") };
    assert_eq!(code, "broadcast-hash");
    assert!(message.contains("ports"), "{message}");
}

#[test]
fn redirects_need_a_licence() {
    for (name, line) in [("redirect", "bpf_redirect("), ("redirect_devmap", "bpf_redirect_map(")] {
        let mut case = corpus::own(name);
        assert!(translate(&case.module, case.program, &Options::default()).is_ok());
        case.module.license = "Apache-2.0".to_owned();
        let gaps = translate(&case.module, case.program, &Options::default()).unwrap_err();
        let [gap] = &gaps[..] else { panic!("{gaps:?}") };
        assert_eq!(gap.code, "redirect-needs-gpl");
        assert!(gap.message.contains("Apache-2.0"), "{gap:?}");
        assert!(gap.line.as_ref().is_some_and(|l| l.text.contains(line)), "{gap:?}");
    }
    // Others do without.
    let mut case = corpus::own("swap_tx");
    case.module.license = "Apache-2.0".to_owned();
    assert!(translate(&case.module, case.program, &Options::default()).is_ok());
}

#[test]
fn every_code_has_its_section() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/refusals.md");
    let text = std::fs::read_to_string(path).unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tc/translate");
    let mut codes = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let quoted = source.split('"').skip(1).step_by(2).map(str::to_owned);
        let kebab =
            |s: &String| s.contains('-') && s.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        codes.extend(quoted.filter(kebab).filter(|s| !EVENTS.contains(&s.as_str())));
    }
    assert!(codes.len() > 8, "{codes:?}");
    for code in codes {
        assert!(text.contains(&format!("\n### {code}\n")), "docs/refusals.md lacks {code}");
    }
}

/// Words in kebab-case that are names of events and of the library, not codes.
const EVENTS: [&str; 9] = [
    "merged-seen",
    "pull-failed",
    "vlan-push-failed",
    "refresh-failed",
    "invalid-code",
    "mtu-drop",
    "redirect-miss",
    "hoist-runtime",
    "-",
];

#[test]
fn the_committed_object_is_fresh() {
    let installed = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if !installed("clang-14") || !installed("llvm-strip-14") {
        println!("not run: the_committed_object_is_fresh: needs clang-14 and llvm-strip-14");
        return;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/objects");
    let out = std::env::temp_dir().join(format!("hoist-refused-{}", std::process::id()));
    std::fs::create_dir_all(&out).unwrap();
    let built = Command::new(here.join("build.sh")).arg(&out).status().unwrap();
    let fresh = std::fs::read(out.join("refused.bpf.o")).unwrap();
    std::fs::remove_dir_all(&out).unwrap();
    assert!(built.success());
    assert!(fresh == OBJECT, "refused.bpf.o is not what its source gives: run build.sh");
}
