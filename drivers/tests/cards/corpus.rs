//! The tables of docs/nfp.md: every program of the corpus, with each refusal and the function that it
//! follows. `HOIST_BLESS=1` writes them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use hoist_bpf::Module;
use hoist_bpf::module::{ProgramHint, ProgramId};
use hoist_bpf::programs;
use hoist_drivers::nic::nfp;
use hoist_offload::profile::{Judgement, Verdict, Wishes};

/// Where Debian installs the objects of xdp-tools and libxdp.
const INSTALLED: &str = "/usr/lib/x86_64-linux-gnu/bpf";

/// Compiler, strip, instruction set.
const BUILDS: [(&str, &str, &str); 4] = [
    ("clang-14", "llvm-strip-14", "v1"),
    ("clang-14", "llvm-strip-14", "v2"),
    ("clang-14", "llvm-strip-14", "v3"),
    ("clang-19", "llvm-strip-19", "v4"),
];

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/nfp.md")
}

/// Every XDP program of an object, judged.
fn judged(name: &str, object: &[u8]) -> Vec<(String, Judgement)> {
    let module = Module::parse(name, object).unwrap();
    let ids = (0..module.programs.len() as u32).map(ProgramId);
    let xdp = ids.filter(|id| module.program(*id).hint != ProgramHint::Other);
    xdp.map(|id| {
        let judgement = nfp::PROFILE.judge(&module, id, &Wishes::default());
        (module.program(id).name.clone(), judgement)
    })
    .collect()
}

/// Several tests write one page.
static PAGE: Mutex<()> = Mutex::new(());

/// The table between its marks must be this one.
fn hold(mark: &str, table: &str) {
    let _alone = PAGE.lock();
    let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->"));
    let text = std::fs::read_to_string(page()).unwrap();
    let (head, rest) =
        text.split_once(&begin).unwrap_or_else(|| panic!("no {begin:?} in docs/nfp.md"));
    let (shown, tail) = rest.split_once(&end).unwrap();
    let table = format!("\n{table}\n");
    if std::env::var_os("HOIST_BLESS").is_some() {
        std::fs::write(page(), format!("{head}{begin}{table}{end}{tail}")).unwrap();
        return;
    }
    assert_eq!(shown, table, "docs/nfp.md, {mark}: HOIST_BLESS=1 writes it anew");
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Depends => "depends",
        Verdict::Refused => "refused",
    }
}

/// Gaps by code, each with its source lines and the functions that it follows.
fn reasons(judgement: &Judgement) -> String {
    let mut codes: BTreeMap<&str, (Vec<String>, String)> = BTreeMap::new();
    for gap in &judgement.gaps {
        let (places, follows) = codes.entry(&gap.code).or_default();
        let place = match (&gap.line, &gap.insn, &gap.map) {
            (Some(line), ..) => Some(line.line.to_string()),
            (None, Some(insn), _) => Some(insn.clone()),
            (_, _, Some(map)) => Some(format!("map {map}")),
            _ => None,
        };
        places.extend(place.filter(|place| !places.contains(place)));
        if let Some(evidence) = &gap.evidence {
            let source = evidence.detail.split(" (Linux ").next().unwrap_or_default();
            source.clone_into(follows);
        }
    }
    let cells = codes.into_iter().map(|(code, (places, follows))| {
        let places =
            if places.is_empty() { String::new() } else { format!(" ({})", places.join(", ")) };
        let follows = if follows.is_empty() { String::new() } else { format!(": `{follows}`") };
        format!("[{code}](refusals.md#{code}){places}{follows}")
    });
    cells.collect::<Vec<_>>().join("; ")
}

fn rewrites(judgement: &Judgement) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for change in &judgement.changes {
        *counts.entry(change.rewrite.to_string()).or_default() += 1;
    }
    let cells = counts.into_iter().map(|(rewrite, count)| format!("{rewrite} {count}"));
    cells.collect::<Vec<_>>().join(", ")
}

/// What the program needs of the firmware that only the card can tell.
fn needs(judgement: &Judgement) -> String {
    let open = judgement.demands.iter().filter(|d| d.needs > 0 && d.met() != Some(true));
    let cell = |d: &hoist_offload::profile::Demand| match d.needs {
        1 if d.parameter.starts_with("max_") => format!("{} 1", d.parameter),
        1 => d.parameter.clone(),
        needs => format!("{} {needs}", d.parameter),
    };
    open.map(cell).collect::<Vec<_>>().join(", ")
}

fn table(objects: &[(String, Vec<u8>)]) -> String {
    let mut rows = vec![
        "| program | verdict | rewritten | refused because (lines of its source): what that follows | needs of the firmware |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for (name, object) in objects {
        for (program, judgement) in judged(name, object) {
            rows.push(format!(
                "| `{name}` {program} | {} | {} | {} | {} |",
                word(judgement.verdict),
                rewrites(&judgement),
                reasons(&judgement),
                needs(&judgement)
            ));
        }
    }
    rows.join("\n") + "\n"
}

#[test]
fn the_verdicts_of_hoist_s_own_programs_are_those_of_the_page() {
    let objects: Vec<_> =
        programs::LIST.iter().map(|p| (p.name.to_owned(), p.object.to_vec())).collect();
    hold("programs", &table(&objects));
    let plain = judged("drop", programs::get("drop").unwrap().object);
    assert_ne!(plain[0].1.verdict, Verdict::Refused, "{:?}", plain[0].1.gaps);
}

#[test]
fn the_verdicts_of_debian_s_programs_are_those_of_the_page() {
    let Ok(entries) = std::fs::read_dir(INSTALLED) else {
        println!("not run: no objects of xdp-tools and libxdp are installed");
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "o"));
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(path).unwrap())
    };
    hold("xdp-tools", &table(&paths.iter().map(read).collect::<Vec<_>>()));
}

/// The same sources for each instruction set: what the compiler makes of them decides.
#[test]
fn the_verdicts_for_each_instruction_set_are_those_of_the_page() {
    let missing =
        BUILDS.iter().find(|(clang, ..)| Command::new(clang).arg("--version").output().is_err());
    if let Some((clang, ..)) = missing {
        println!("not run: {clang} is not installed");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bpf/programs/build.sh");
    let folder = tempfile::tempdir().unwrap();
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (clang, strip, cpu) in BUILDS {
        let out = folder.path().join(cpu);
        let status = Command::new(&script)
            .arg("--into")
            .arg(&out)
            .envs([("CLANG", clang), ("LLVM_STRIP", strip), ("CPU", cpu)])
            .status()
            .unwrap();
        assert!(status.success(), "{cpu}");
        for program in programs::LIST {
            let object = std::fs::read(out.join(format!("{}.bpf.o", program.name))).unwrap();
            for (name, judgement) in judged(program.name, &object) {
                let mut codes: Vec<&str> = judgement.gaps.iter().map(|g| g.code.as_str()).collect();
                codes.sort_unstable();
                codes.dedup();
                let codes = if codes.is_empty() {
                    String::new()
                } else {
                    format!(": {}", codes.join(", "))
                };
                let cell = format!("{}{codes}", word(judgement.verdict));
                rows.entry(format!("`{}` {name}", program.name)).or_default().push(cell);
            }
        }
    }
    let mut lines =
        vec!["| program | v1 | v2 | v3 | v4 |".to_owned(), "|---|---|---|---|---|".to_owned()];
    lines.extend(rows.into_iter().map(|(name, cells)| {
        // What is the same as to the left is not repeated.
        let first = cells.first().cloned();
        let same = |cell: &String| {
            if Some(cell) == first.as_ref() { "same".to_owned() } else { cell.clone() }
        };
        let rest: Vec<String> = cells.iter().skip(1).map(same).collect();
        format!("| {name} | {} | {} |", first.clone().unwrap_or_default(), rest.join(" | "))
    }));
    hold("instruction sets", &(lines.join("\n") + "\n"));
}
