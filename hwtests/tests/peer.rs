//! What one end of a veth pair can run depends on the other end: the plan knows, says so, and its
//! remedy works.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::process::Command;

use hoist_hwtests::capture::{Capture, Sender};
use hoist_hwtests::dut::Dut;
use hoist_hwtests::frame::{Frame, mac};
use hoist_hwtests::lab::{Lab, Namespace};
use hoist_hwtests::{require, wait};
use hoist_offload::plan::Choice;
use hoist_offload::{EngineKind, Fact, Plan};

use EngineKind::{Generic, Hw, Native};

/// Where the peer is.
#[derive(Clone, Copy, Debug)]
enum Peer {
    Here,
    InNamed,
    InAnonymous,
}

impl Peer {
    fn lab(self, near_mtu: u32, peer_mtu: u32) -> Lab {
        let here = Namespace::new().unwrap();
        let there = match self {
            Self::Here => here.clone(),
            Self::InNamed => Namespace::named("peer").unwrap(),
            Self::InAnonymous => Namespace::new().unwrap(),
        };
        Lab::between(&here, &there, |near| near.mtu(near_mtu), |far| far.mtu(peer_mtu)).unwrap()
    }

    /// Does what a remedy says, to the letter.
    fn apply(self, remedy: &str, lab: &Lab) {
        let command = remedy.split(", or ").next().unwrap();
        // What a reader is told to do inside the peer's namespace is done there.
        let (command, place) = match self {
            Self::InAnonymous => (command.split(" (inside").next().unwrap(), lab.far()),
            Self::Here | Self::InNamed => (command, lab.near()),
        };
        let mut shell = Command::new("sh");
        let output = place.namespace.output(shell.args(["-c", command]), wait::PATIENCE).unwrap();
        assert!(output.status.success(), "{remedy}: {output:?}");
    }
}

/// Gaps of an engine that was passed over: code, message, remedy.
fn gaps(plan: &Plan, engine: EngineKind) -> Vec<(&str, &str, &str)> {
    let refusals = plan.refusals.iter().filter(|r| r.engine == engine);
    refusals
        .flat_map(|r| &r.gaps)
        .map(|g| (g.code.as_str(), g.message.as_str(), g.remedy.as_deref().unwrap_or("")))
        .collect()
}

/// The engines that were passed over.
fn refused(plan: &Plan) -> Vec<EngineKind> {
    plan.refusals.iter().map(|refusal| refusal.engine).collect()
}

#[test]
fn a_peer_with_a_large_mtu_is_named_and_its_remedy_helps() {
    if !require::veth_and_command("a_peer_with_a_large_mtu_is_named_and_its_remedy_helps", "ip") {
        return;
    }
    for peer in [Peer::Here, Peer::InNamed, Peer::InAnonymous] {
        let lab = peer.lab(1500, 9000);
        let dut = Dut::new(lab.near()).unwrap();
        let job = dut.prebuilt("drop").unwrap();
        let plan = dut.plan(&job, Choice::Auto).unwrap();
        let [("peer-mtu-too-large", message, remedy)] = gaps(&plan, Native)[..] else {
            panic!("{peer:?}: {:#?}", plan.refusals);
        };
        assert!(["3506", "9000", "v1"].iter().all(|word| message.contains(word)), "{message}");
        assert!(remedy.contains("v1") && remedy.contains("1500"), "{remedy}");
        let name = lab.far().namespace.name().unwrap_or_default();
        assert!(remedy.contains(name), "{remedy} names the namespace {name}");
        assert_eq!(plan.engine, Some(Generic), "{peer:?}");
        let (plan, running) = dut.run(&job, Choice::Auto).unwrap();
        assert_eq!((plan.engine, running.engine()), (Some(Generic), Generic), "{peer:?}");
        assert!(plan.refusals.iter().any(|r| r.engine == Native), "the reason is kept");
        drop(running);

        peer.apply(remedy, &lab);
        let (plan, mut running) = dut.run(&job, Choice::Auto).unwrap();
        assert_eq!((plan.engine, refused(&plan)), (Some(Native), vec![Hw]), "{peer:?}");
        assert_eq!(dut.effective(&mut *running).unwrap().engine, Native, "{peer:?}");
    }
}

#[test]
fn what_is_not_known_of_the_peer_is_settled_by_trying() {
    if !require::veth("what_is_not_known_of_the_peer_is_settled_by_trying") {
        return;
    }
    for (peer_mtu, engine) in [(9000, Generic), (1500, Native)] {
        let lab = Peer::InAnonymous.lab(1500, peer_mtu);
        let dut = Dut::new(lab.near()).unwrap();
        let job = dut.prebuilt("drop").unwrap();
        let mut device = dut.device().unwrap();
        device.peer.as_mut().unwrap().info = Fact::unknown("not asked");
        let (plan, running) = dut.run_believing(&device, &job, Choice::Auto).unwrap();
        assert_eq!((plan.engine, running.engine()), (Some(engine), engine));
        if engine == Generic {
            let [("peer-mtu-too-large", message, _)] = gaps(&plan, Native)[..] else {
                panic!("{:#?}", plan.refusals);
            };
            assert!(message.contains("Peer MTU is too large to set XDP"), "{message}");
        }
    }
}

#[test]
fn what_is_large_elsewhere_does_not_matter() {
    if !require::veth("what_is_large_elsewhere_does_not_matter") {
        return;
    }
    // (own MTU, the peer's, program)
    for (near, far, program) in [(9000, 1500, "drop"), (9000, 3506, "pass"), (1500, 9000, "frags")]
    {
        let lab = Peer::InAnonymous.lab(near, far);
        let dut = Dut::new(lab.near()).unwrap();
        let job = dut.prebuilt(program).unwrap();
        let (plan, mut running) = dut.run(&job, Choice::Auto).unwrap();
        assert_eq!((plan.engine, refused(&plan)), (Some(Native), vec![Hw]), "{program}");
        assert_eq!(dut.effective(&mut *running).unwrap().engine, Native, "{program}");
    }
}

#[test]
fn transmitting_to_a_peer_that_cannot_receive_is_no_silent_loss() {
    if !require::veth("transmitting_to_a_peer_that_cannot_receive_is_no_silent_loss") {
        return;
    }
    let native = || Choice::only(Native);
    // GRO makes a veth receive redirected frames, but not XDP_TX.
    for gro in [false, true] {
        let lab = Lab::with(|near| near, |far| far.gro(gro)).unwrap();
        let dut = Dut::new(lab.near()).unwrap();
        let job = dut.prebuilt("swap_tx").unwrap();
        // Of five frames that are sent, those that come back at once. Marked, because a veth with GRO
        // keeps what it was sent until something else wakes it.
        let returned = |mark: u8| {
            let capture = Capture::open(lab.far()).unwrap();
            let frame = Frame::eth(mac(2), mac(1)).payload(&[mark; 46]).bytes();
            Sender::open(lab.far()).unwrap().send_many(&frame, 5).unwrap();
            std::thread::sleep(wait::SILENCE);
            capture.rest().unwrap().iter().filter(|got| got.bytes.ends_with(&[mark])).count()
        };

        let (plan, running) = dut.run(&job, Choice::Auto).unwrap();
        assert!(matches!(gaps(&plan, Native)[..], [("tx-peer-no-napi", ..)]), "{plan:#?}");
        assert_eq!((running.engine(), returned(1)), (Generic, 5), "GRO {gro}: chosen");
        drop(running);

        let (plan, running) = dut.run(&job, native()).unwrap();
        let warned = plan.warnings.iter().any(|w| w.code == "tx-peer-no-napi");
        assert!(warned, "forced, it warns: {plan:#?}");
        assert_eq!(returned(2), 0, "GRO {gro}: what the warning is about");
        drop(running);

        let peer = Dut::new(lab.far()).unwrap();
        let (_, receiving) = peer.run(&peer.prebuilt("pass").unwrap(), native()).unwrap();
        let (plan, running) = dut.run(&job, Choice::Auto).unwrap();
        assert_eq!((plan.engine, refused(&plan)), (Some(Native), vec![Hw]), "{plan:#?}");
        assert_eq!(returned(3), 5, "GRO {gro}: remedied");
        drop((running, receiving));
    }
}
