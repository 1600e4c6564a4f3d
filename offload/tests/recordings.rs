//! The recordings in `tests/hosts`: one made on a machine, two made up from drivers' documentation.

use std::fs;
use std::path::{Path, PathBuf};

use hoist_offload::capability::Answer;
use hoist_offload::host::{FakeHost, Host, Recording, sample};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts")
}

/// The recordings made up in code, by file name.
fn synthetic() -> [(&'static str, Recording); 2] {
    let made_up = |what: &str, devices| Recording {
        synthetic: Some(format!("{what}; after the drivers' documentation, not measured")),
        ..Recording::new(sample::report(), devices)
    };
    [
        (
            "synthetic-server.json",
            made_up(
                "a server with two 100G cards",
                vec![sample::mlx5("ens1f0np0", 2), sample::ice("ens2f0", 3)],
            ),
        ),
        (
            "synthetic-small.json",
            made_up(
                "a virtual machine's NIC and a desktop's",
                vec![sample::virtio("ens3", 2), sample::e1000e("eno1", 3)],
            ),
        ),
    ]
}

/// Run with `HOIST_BLESS=1` to write the made-up recordings anew.
#[test]
fn made_up_recordings_are_what_the_samples_say() {
    for (file, recording) in synthetic() {
        let path = directory().join(file);
        if std::env::var_os("HOIST_BLESS").is_some() {
            fs::write(&path, recording.to_json()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), recording.to_json(), "{file}");
    }
}

/// Every recording reads, writes as it was, and answers for its interfaces.
#[test]
fn recordings_survive_a_round_trip() {
    let files: Vec<PathBuf> =
        fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let recording = Recording::from_json(name, &text).unwrap();
        assert_eq!(recording.to_json(), text, "{name}");
        assert_eq!(recording.synthetic.is_some(), name.starts_with("synthetic"), "{name}");
        let host = FakeHost::new(recording.clone());
        assert_eq!(host.devices().unwrap(), recording.devices, "{name}");
    }
}

/// A recording of an older version lacks what that version did not ask.
#[test]
fn what_a_recording_lacks_is_unknown() {
    let text = r#"{"schema": "hoist.record.v1", "host": {"kernel": "6.1.0"}, "devices": [{
        "name": "eth0", "ifindex": 2, "link_type": 1, "mtu_bytes": 1500, "max_mtu_bytes": 0,
        "up": true, "operstate": "up", "rx_queues": 1, "tx_queues": 1, "later": 1}]}"#;
    let recording = Recording::from_json("old.json", text).unwrap();
    assert_eq!(recording.host.kernel, "6.1.0");
    assert_eq!(recording.host.bpf_syscall.answer, Answer::Unknown);
    assert_eq!(recording.host.btf_bytes.value(), None);
    assert_eq!(recording.devices[0].xdp.value(), None);
    assert!(recording.devices[0].attached.is_empty());
}

#[test]
fn what_is_no_recording_is_refused_by_name() {
    let cases = [
        ("{", "x.json is not JSON"),
        ("[]", "x.json is not a recording"),
        (r#"{"schema": "hoist.plan.v1"}"#, "x.json has schema hoist.plan.v1"),
        (r#"{"schema": "hoist.record.v1"}"#, "x.json is not a complete recording"),
    ];
    for (text, expected) in cases {
        let error = Recording::from_json("x.json", text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(error.contains("hoist probe --record"), "{error}");
    }
}
