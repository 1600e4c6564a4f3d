use hoist_fallback::userspace::ports::{Action, Outcome, Tap};
use hoist_hwtests::capture::{Capture, Sender};
use hoist_hwtests::lab::{Namespace, Port as Interface};
use hoist_hwtests::require;

use crate::world::{asked, datagram, drive};

#[test]
fn a_program_stands_between_two_interfaces() {
    if !require::veth("tap::a_program_stands_between_two_interfaces") {
        return;
    }
    let inside = Namespace::new().unwrap();
    inside.run(|| {
        let mut port = Tap::open("wire", Some("host"), 7).unwrap();
        let [wire, host] = ["wire", "host"].map(|name| {
            let interface = Interface::find(&inside, name).unwrap();
            interface.set_up(true).unwrap();
            interface
        });
        let (sender, back) = (Sender::open(&wire).unwrap(), Capture::open(&wire).unwrap());
        let (answerer, received) = (Sender::open(&host).unwrap(), Capture::open(&host).unwrap());
        for payload in [b"d1", b"p2", b"t3"] {
            sender.send(&datagram(payload)).unwrap();
        }
        let outcomes = drive(&mut [&mut port], 3, |frame, arrival| {
            assert_eq!(arrival.ingress_ifindex, 7);
            asked(frame, 0)
        });
        let bytes = |capture: &Capture| -> Vec<_> {
            capture.take(1).unwrap().into_iter().map(|c| c.bytes).collect()
        };
        assert_eq!(bytes(&received), [datagram(b"p2")]);
        assert_eq!(bytes(&back), [datagram(b"t3")]);
        for outcome in [Outcome::Dropped, Outcome::Passed, Outcome::Transmitted] {
            assert_eq!(outcomes.of(outcome), 1, "{outcome:?}");
        }
        // What the host sends goes out unseen.
        answerer.send(&datagram(b"out")).unwrap();
        sender.send(&datagram(b"d")).unwrap();
        drive(&mut [&mut port], 1, |_, _| Action::Drop);
        assert_eq!(bytes(&back), [datagram(b"out")]);
    });
}
