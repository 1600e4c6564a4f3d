//! The programs of the corpus, and those that Debian's xdp-tools install, both ways.

use std::path::PathBuf;

use hoist_bpf::module::{Module, ProgramHint, ProgramId};

use crate::compare::agree;

/// Frames that programs tell apart: protocols, tags, lengths.
fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for (kind, protocol) in [
        (0x0800_u16, 17_u8),
        (0x0800, 6),
        (0x0800, 4),
        (0x0800, 1),
        (0x86dd, 17),
        (0x8100, 17),
        (0x88cc, 0),
    ] {
        let mut frame: Vec<u8> = (0..128_u16).map(|n| (n * 7) as u8).collect();
        frame[..14].copy_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0, 0]);
        frame[12..14].copy_from_slice(&kind.to_be_bytes());
        let ip = if kind == 0x8100 { 18 } else { 14 };
        frame[ip - 2..ip]
            .copy_from_slice(&if kind == 0x8100 { 0x0800 } else { kind }.to_be_bytes());
        if kind == 0x8100 {
            frame[12..16].copy_from_slice(&[0x81, 0, 0, 5]);
        }
        if kind == 0x86dd {
            frame[ip] = 0x60;
            frame[ip + 6] = protocol;
        } else {
            frame[ip] = 0x45;
            frame[ip + 8] = 64;
            frame[ip + 9] = protocol;
        }
        for length in [128, 60, 42, 20, 14] {
            frames.push(frame[..length].to_vec());
        }
    }
    frames
}

fn objects() -> Vec<PathBuf> {
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../bpf/prebuilt");
    let benches = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/objects");
    let installed = format!("/usr/lib/{}-linux-gnu/bpf", std::env::consts::ARCH);
    let mut objects: Vec<PathBuf> = [ours, benches, &installed]
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flat_map(|folder| folder.filter_map(|entry| Some(entry.ok()?.path())))
        .filter(|path| path.extension().is_some_and(|extension| extension == "o"))
        .collect();
    objects.sort();
    objects
}

#[test]
fn programs_of_the_corpus_run_alike() {
    let frames = frames();
    let mut ran = 0;
    for path in objects() {
        let object = std::fs::read(&path).unwrap();
        let Ok(module) = Module::parse(&path.display().to_string(), &object) else { continue };
        for (index, program) in module.programs.iter().enumerate() {
            if matches!(program.hint, ProgramHint::Other) {
                continue;
            }
            let Some(faults) = agree(&module, ProgramId(index as u32), &frames) else { continue };
            ran += 1;
            let faults: Vec<_> = faults.iter().filter(|fault| **fault != "none").collect();
            // The dispatcher calls programs that are put in place of its own later.
            assert!(faults.is_empty(), "{}: {}: {faults:?}", path.display(), program.name);
        }
    }
    eprintln!("{ran} programs");
    assert!(ran >= 25, "only {ran} programs could be run");
}
