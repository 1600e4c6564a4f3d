//! What others make of the generator: an analyser of its frames, a compiler of its programs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use hoist_benches::profile::{Ends, Frames, Profile};
use hoist_benches::stamp::Stamp;
use hoist_hwtests::frame::mac;

fn there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success())
}

/// What tshark says of the frames of a profile, one line each.
fn dissected(profile: &Profile, stamped: bool, count: u64, fields: &[&str]) -> Vec<String> {
    let frames = Frames::of(profile, Ends::between(mac(1), mac(2)), stamped).unwrap();
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_ne_bytes());
    }
    for number in 0..count {
        let mut frame = [0; 1600];
        let stamp = Stamp { token: 0xabcd, sequence: number as u32, ..Stamp::default() };
        let length = frames.write(number, &stamp, &mut frame);
        for word in [0, 0, length as u32, length as u32] {
            file.extend(word.to_ne_bytes());
        }
        file.extend(&frame[..length]);
    }
    let mut command = Command::new("tshark");
    command.args(["-r", "-", "-T", "fields", "-E", "separator= ", "-o", "udp.check_checksum:TRUE"]);
    command.args(["-o", "ip.check_checksum:TRUE"]);
    fields.iter().for_each(|field| {
        command.args(["-e", field]);
    });
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // It answers while it reads.
    let writer = std::thread::spawn(move || input.write_all(&file).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn an_analyser_reads_every_profile() {
    if !there("tshark") {
        println!("not run: an_analyser_reads_every_profile: needs tshark");
        return;
    }
    let fields = ["frame.len", "frame.protocols", "ip.checksum.status", "udp.checksum.status"];
    for (name, stamped, protocols, length, ip) in [
        ("64", true, "eth:ethertype:ip:udp", "60", "1"),
        ("1518", true, "eth:ethertype:ip:udp", "1514", "1"),
        ("vlan", true, "eth:ethertype:vlan:ethertype:ip:udp", "64", "1"),
        ("vxlan", true, "eth:ethertype:ip:udp:vxlan:eth:ethertype:ip:udp", "124", "1,1"),
        ("ipv6", true, "eth:ethertype:ipv6:udp", "78", ""),
        ("flows-9", true, "eth:ethertype:ip:udp", "60", "1"),
    ] {
        let lines = dissected(&Profile::named(name).unwrap(), stamped, 20, &fields);
        assert_eq!(lines.len(), 20, "{name}");
        for line in lines {
            let expected = format!("{length} {protocols}");
            assert!(line.starts_with(&expected), "{name}: {line}");
            // 1 is right, 3 says that there is none; 0 would be wrong.
            let sums = line.rsplit_once(&protocols).unwrap().1;
            assert!(!sums.contains('0') && sums.contains(ip), "{name}: {line}");
        }
    }
}

#[test]
fn an_analyser_sees_as_many_flows_and_lengths_as_there_are() {
    if !there("tshark") {
        println!("not run: an_analyser_sees_as_many_flows_and_lengths_as_there_are: needs tshark");
        return;
    }
    let unique = |mut lines: Vec<String>| {
        lines.sort_unstable();
        let mut counts = String::new();
        for line in lines.chunk_by(|a, b| a == b) {
            let _ = write!(counts, "{}x{} ", line.len(), line[0]);
        }
        counts
    };
    let imix = dissected(&Profile::named("imix").unwrap(), false, 96, &["frame.len"]);
    assert_eq!(unique(imix), "8x1514 32x566 56x60 ");
    let flows = ["ip.src", "ip.dst", "udp.srcport", "udp.dstport"];
    let lines = dissected(&Profile::named("flows-5000").unwrap(), false, 10_000, &flows);
    assert_eq!(unique(lines).matches("2x").count(), 5000);
}

#[test]
fn committed_objects_are_fresh() {
    if !there("clang-14") || !there("llvm-strip-14") {
        println!("not run: committed_objects_are_fresh: needs clang-14 and llvm-strip-14");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/build.sh");
    let check = Command::new(script).arg("--check").output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}
