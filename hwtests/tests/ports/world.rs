//! An interface under test with a sender before it, and another interface to redirect to.

use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hoist_bpf::kernel::{Kernel, Linux};
use hoist_fallback::userspace::ports::{Action, Batch, Outcomes, Port, wait as wait_for_frames};
use hoist_fallback::userspace::vm::{Arrival, Frame as Run};
use hoist_hwtests::capture::{Capture, Sender};
use hoist_hwtests::frame::{Frame, mac};
use hoist_hwtests::lab::{End, Lab, Namespace, Veth};
use hoist_hwtests::{socket, wait};

/// The UDP port that the host listens on.
pub(crate) const LISTENING: u16 = 5000;
/// Where a UDP datagram's payload starts in an untagged frame.
pub(crate) const PAYLOAD: usize = 42;

pub(crate) struct World {
    pub(crate) kernel: Arc<dyn Kernel>,
    pub(crate) lab: Lab,
    /// From the near namespace to a third: `out` here, `sink` there.
    pub(crate) out: Veth,
    pub(crate) host: UdpSocket,
    pub(crate) sender: Sender,
    /// What the interface under test sends back.
    pub(crate) back: Capture,
    pub(crate) sink: Capture,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|near| near)
    }

    pub(crate) fn with(near: impl FnOnce(End) -> End) -> Self {
        let lab = Lab::with(near, |far| far).unwrap();
        let third = Namespace::new().unwrap();
        let inside = &lab.near().namespace;
        let out =
            Veth::create((inside, End::new("out", 3)), (&third, End::new("sink", 4))).unwrap();
        Self {
            kernel: Arc::new(Linux::new().unwrap()),
            host: socket::udp(inside, (Lab::NEAR, LISTENING)).unwrap(),
            sender: Sender::open(lab.far()).unwrap(),
            back: Capture::open(lab.far()).unwrap(),
            sink: Capture::open(&out.far).unwrap(),
            out,
            lab,
        }
    }

    /// Sends the host a datagram.
    pub(crate) fn send(&self, payload: &[u8]) {
        self.sender.send(&datagram(payload)).unwrap();
    }

    /// What reached the host.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        socket::drain(&self.host).unwrap()
    }
}

pub(crate) fn datagram(payload: &[u8]) -> Vec<u8> {
    Frame::eth(mac(2), mac(1))
        .ipv4(Lab::FAR, Lab::NEAR)
        .udp(4000, LISTENING)
        .payload(payload)
        .bytes()
}

/// What the first byte of a datagram asks for; `out` is where redirected frames go. Frames of other
/// protocols pass.
pub(crate) fn asked(frame: &Run<'_>, out: u32) -> Action {
    match frame.bytes().get(PAYLOAD) {
        Some(b'd') => Action::Drop,
        Some(b't') => Action::Transmit,
        Some(b'r') => Action::Redirect(out),
        _ => Action::Pass,
    }
}

/// Turns at ports until they have handed over `frames`, or patience is over.
pub(crate) fn drive(
    ports: &mut [&mut dyn Port],
    frames: usize,
    mut program: impl FnMut(&mut Run<'_>, &Arrival) -> Action,
) -> Outcomes {
    let start = Instant::now();
    let (stop, _held) = rustix::pipe::pipe().unwrap();
    let mut seen = 0;
    while seen < frames && start.elapsed() < wait::PATIENCE {
        for port in &mut *ports {
            match port.receive(&mut program).unwrap() {
                Batch::Frames(more) => seen += more,
                Batch::Idle => {
                    wait_for_frames(&**port, stop.as_fd(), Some(Duration::from_millis(10)))
                        .unwrap();
                }
                Batch::End => panic!("a live port has no end"),
            }
        }
    }
    assert_eq!(seen, frames, "frames that the port handed over");
    ports.iter().fold(Outcomes::default(), |sum, port| sum.plus(&port.outcomes()))
}
