use std::sync::Arc;

use hoist_bpf::kernel::{Fake, TestRun};

use super::*;

/// What a test run shows of a buffer.
fn answer(seen: &Seen) -> TestRun {
    let mut context = vec![0; skb::BYTES];
    let be = |n: u16| u32::from(n.to_be());
    let tag = if seen.tag == 0 { 0 } else { be((seen.tag >> 16) as u16) << 16 | seen.tag & 0xffff };
    context[skb::MARK as usize..][..4].copy_from_slice(&be(seen.protocol).to_ne_bytes());
    context[skb::PRIORITY as usize..][..4].copy_from_slice(&tag.to_ne_bytes());
    context[64..68].copy_from_slice(&2_u32.to_ne_bytes());
    let (data, verdict) = match seen.frame.is_empty() {
        // The epilogue could not carry out what the program asked for.
        true => (vec![0; 60], 2),
        false => (seen.frame.clone(), TC_ACT_UNSPEC),
    };
    TestRun { data, verdict, context, ..TestRun::default() }
}

/// A kernel that does as it should in every case, but for what `spoil` does to the answer of one.
fn kernel(spoil: Spoil) -> Arc<Fake> {
    kernel_with(0, spoil)
}

/// The same, where the network header is at this byte after a tag was pushed into the data.
fn kernel_with(at_network_header: u32, spoil: Spoil) -> Arc<Fake> {
    let fake = Fake::new();
    let runs = std::sync::Mutex::new((true, CASES.iter()));
    fake.run_with(move |_, spec| {
        let (first, cases) = &mut *runs.lock().unwrap();
        if std::mem::take(first) {
            return Ok(TestRun { verdict: at_network_header, ..TestRun::default() });
        }
        // Runs come in the order of the table.
        let case = cases.next().unwrap();
        assert_eq!(spec.data, (case.frame)(), "{}", case.name);
        assert_eq!(spec.context[skb::MARK as usize] == 1, case.tagged, "{}", case.name);
        let mut seen = (case.expected)();
        spoil(case, &mut seen);
        Ok(answer(&seen))
    });
    Arc::new(fake)
}

#[test]
fn a_kernel_that_does_as_it_should_passes() {
    // The tag that was pushed is empty; 0x45 is what the frame had.
    for (byte, tag_push) in [(0, TagPush::MovesNetworkHeader), (0x45, TagPush::LeavesNetworkHeader)]
    {
        let kernel = kernel_with(byte, |_, _| ());
        assert_eq!(ask(&*kernel), Ok(Answer::Passed(tag_push)));
    }
}

/// What a kernel makes of a frame otherwise.
type Spoil = fn(&Case, &mut Seen);

#[test]
fn what_the_kernel_does_otherwise_refuses_the_engine() {
    let cases: [(Spoil, &str, &str); 3] = [
        (
            // Kernels that leave the network header behind cut in the wrong place.
            |case, seen| {
                if case.tagged {
                    seen.frame.remove(14);
                }
            },
            "a tag taken off IPv4",
            "73 bytes instead of 74, different from byte 14 on",
        ),
        (
            |case, seen| {
                if case.program == "vlan_push" {
                    seen.protocol = VLAN_PROTOCOL;
                }
            },
            "a tag put on IPv4",
            "protocol 0x8100 and tag 0x81000007 instead of 0x0800 and 0x81000007",
        ),
        (|_, seen| seen.frame.clear(), "a tag taken off IPv4", "gave the frame up"),
    ];
    for (spoil, case, words) in cases {
        let gap = ask(&*kernel(spoil)).unwrap_err();
        assert_eq!(gap.code, "tc-self-test");
        assert!(gap.message.contains(case) && gap.message.contains(words), "{}", gap.message);
        assert!(gap.remedy.is_some());
    }
}

const VLAN_PROTOCOL: u16 = frames::VLAN;

#[test]
fn a_kernel_that_cannot_be_asked_leaves_the_question_open() {
    assert_eq!(ask(&Fake::new()), Ok(Answer::Open));
    let fake = Fake::new();
    fake.run_with(|_, _| Ok(TestRun::default()));
    assert_eq!(ask(&fake), Ok(Answer::Open), "a kernel that shows no context");
}
