//! AF_XDP sockets: an interface's frames as its XDP hook sees them.
//!
//! A program of ours at the XDP hook, in the driver or in the core, redirects every frame to the socket
//! of its queue. There it lies in memory that is shared with the kernel, with the headroom that native
//! XDP gives it, and the engine's program runs on it in place.
//!
//! Under a native program, what is passed goes back to the host behind the hook (`inject`). Under
//! a generic program it would meet that program again, so programs that may pass are refused there
//! ([`pass_gap`]). `XDP_TX` goes out by the socket's own transmit ring, redirected frames by
//! packet sockets.
//!
//! Sockets copy (`XDP_COPY`): zero copy exists on NICs only and is not offered before it was tried on
//! one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hoist_bpf::kernel::{Kernel, KernelError, XdpMode};
use hoist_offload::error::{Error, Gap};
use rustix::io::Errno;
use rustix::net::xdp::{SocketAddrXdp, SocketAddrXdpFlags};
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, bind, send, socket_with, sockopt,
};

use super::buffer::PAGE_FRAME;
use super::outlets::Outlets;
use super::{Action, BATCH, Batch, Copied, Outcome, Outcomes, Port, Program, sys};
use crate::userspace::vm::{Arrival, Frame};

mod inject;
mod redirect;
mod ring;
mod sender;

pub use sender::Sender;

use inject::Injector;
use redirect::Redirect;
use ring::{Chunk, Placed, Shared};

/// Bytes of memory that each queue has locked.
pub const LOCKED_BYTES: usize = ring::CHUNKS as usize * ring::CHUNK;
/// How often the kernel is told again of frames to send that it could not take at once.
const KICKS: usize = 64;
/// How long the kernel may take to free a queue that was closed.
const FREED_WITHIN: Duration = Duration::from_millis(500);

/// The redirecting program in its place. Dropping it ends the flow of frames into the ports; drop it
/// before them.
#[derive(Debug)]
pub struct Attached {
    kernel: Arc<dyn Kernel>,
    ifindex: u32,
    mode: XdpMode,
    redirect: Redirect,
}

impl Attached {
    /// The slot it sits in.
    #[must_use]
    pub const fn mode(&self) -> XdpMode {
        self.mode
    }

    /// The link that holds it.
    #[must_use]
    pub fn link(&self) -> BorrowedFd<'_> {
        self.redirect.link.as_fd()
    }

    /// The redirecting program.
    #[must_use]
    pub fn program(&self) -> BorrowedFd<'_> {
        self.redirect.program.as_fd()
    }

    /// Why frames of this length, from the destination address on, could not be passed; `None`
    /// when they can.
    ///
    /// # Errors
    /// The kernel could not be asked.
    pub fn length_gap(&self, frame_bytes: usize) -> Result<Option<Gap>, KernelError> {
        if let Some(gap) = pass_gap(self.mode) {
            return Ok(Some(gap));
        }
        if inject::takes(&*self.kernel, self.ifindex, frame_bytes)? {
            return Ok(None);
        }
        let message = format!(
            "the program may pass frames of up to {frame_bytes} bytes, and the kernel takes none so \
             long for re-injection (BPF_PROG_TEST_RUN wants them within a page)"
        );
        let remedy = "lower the interface's MTU to 3000, or use an engine in the kernel";
        Ok(Some(Gap::new("frame-too-long-to-reinject", message).remedy(remedy)))
    }
}

/// Why a program that may pass frames cannot run behind a redirecting program in this slot; `None`
/// when it can.
#[must_use]
pub fn pass_gap(mode: XdpMode) -> Option<Gap> {
    (mode == XdpMode::Generic).then(|| {
        let message = "the program may pass frames, and what is re-injected under generic XDP meets \
                       the redirecting program again";
        let remedy = "use a driver with native XDP, or another engine";
        Gap::new("reinjection-loops", message).remedy(remedy)
    })
}

/// Opens a socket for every queue of an interface of the thread's network namespace, and only then
/// attaches the program that redirects to them, so that no frame finds a queue without one.
///
/// # Errors
/// The kernel's refusal; nothing stays attached. `EBUSY`: somebody else's AF_XDP socket has the
/// queue, or somebody else's program the slot.
pub fn open(
    kernel: &Arc<dyn Kernel>,
    interface: &str,
    ifindex: u32,
    mode: XdpMode,
) -> Result<(Attached, Vec<AfXdp>), KernelError> {
    let mut ports = Vec::new();
    for queue in 0.. {
        match AfXdp::bind_soon(interface, ifindex, queue, Shared::new) {
            Ok(port) => ports.push(port),
            // The kernel's way of saying that there is no such queue (`xsk_reg_pool_at_qid`).
            Err(error) if error.errno == libc::EINVAL && queue > 0 => break,
            Err(error) => return Err(error),
        }
    }
    let sockets = ports.iter().map(|port| port.socket.as_fd());
    let redirect = Redirect::attach(&**kernel, ifindex, mode, sockets)?;
    if mode != XdpMode::Generic {
        for port in &mut ports {
            port.injector = Some(Injector::new(kernel, ifindex, port.queue)?);
        }
    }
    Ok((Attached { kernel: kernel.clone(), ifindex, mode, redirect }, ports))
}

/// How a socket's memory is used.
type Memory = fn(BorrowedFd<'_>) -> std::io::Result<Shared>;

/// One queue of an interface.
#[derive(Debug)]
pub struct AfXdp {
    name: String,
    ifindex: u32,
    queue: u32,
    socket: OwnedFd,
    shared: Shared,
    injector: Option<Injector>,
    outlets: Outlets,
    outcomes: Outcomes,
}

impl AfXdp {
    /// Binds, waiting a moment for a queue that was just closed: the kernel frees it from a work queue
    /// (`xp_put_pool`).
    fn bind_soon(
        interface: &str,
        ifindex: u32,
        queue: u32,
        memory: Memory,
    ) -> Result<Self, KernelError> {
        let start = Instant::now();
        loop {
            match Self::bind(interface, ifindex, queue, memory) {
                Err(error) if error.errno == libc::EBUSY && start.elapsed() < FREED_WITHIN => {
                    std::thread::sleep(FREED_WITHIN / 50);
                }
                answer => return answer,
            }
        }
    }

    fn bind(
        interface: &str,
        ifindex: u32,
        queue: u32,
        memory: Memory,
    ) -> Result<Self, KernelError> {
        let name = format!("{interface} queue {queue}");
        let refused = |operation: &str, errno: i32| {
            let refused = KernelError::new(operation, format!("AF_XDP socket of {name}"), errno);
            match errno {
                libc::EBUSY => refused.saying("another AF_XDP socket has this queue"),
                _ => refused,
            }
        };
        let socket = socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None)
            .map_err(|errno| refused("socket", errno.raw_os_error()))?;
        let shared = memory(socket.as_fd())
            .map_err(|e| refused("XDP_UMEM_REG", e.raw_os_error().unwrap_or(libc::EIO)))?;
        let flags = SocketAddrXdpFlags::XDP_COPY | SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
        bind(&socket, &SocketAddrXdp::new(flags, ifindex, queue))
            .map_err(|errno| refused("bind", errno.raw_os_error()))?;
        Ok(Self {
            name,
            ifindex,
            queue,
            socket,
            shared,
            injector: None,
            outlets: Outlets::default(),
            outcomes: Outcomes::default(),
        })
    }

    /// Runs the program on a frame in its chunk and does what it wants done.
    fn run(&mut self, placed: Placed, program: &mut Program<'_>) {
        let Placed { chunk, start, end } = placed;
        let memory = self.shared.bytes(&chunk);
        let hard_end = (Frame::HEADROOM as usize + PAGE_FRAME).max(end as usize);
        let mut frame = Frame { buffer: &mut memory[..hard_end], meta: start, data: start, end };
        let arrival = Arrival {
            ingress_ifindex: self.ifindex,
            rx_queue_index: self.queue,
            ..Arrival::default()
        };
        self.outcomes.count(Outcome::Received);
        let action = program(&mut frame, &arrival);
        if action == Action::Transmit {
            let (data, end) = (frame.data, frame.end);
            return self.transmit(chunk, data, end);
        }
        let Self { injector, outlets, outcomes, .. } = self;
        carry_out(injector.as_ref(), outlets, outcomes, &frame, &action, self.ifindex);
        self.shared.give_back(chunk);
    }

    /// Queues a frame in its chunk for sending, making room if need be.
    fn transmit(&mut self, chunk: Chunk, start: u32, end: u32) {
        let chunk = match self.shared.send(chunk, start, end) {
            Ok(()) => return self.outcomes.count(Outcome::Transmitted),
            Err(chunk) => chunk,
        };
        self.shared.publish();
        self.kick();
        self.shared.recycle();
        match self.shared.send(chunk, start, end) {
            Ok(()) => self.outcomes.count(Outcome::Transmitted),
            Err(chunk) => {
                self.outcomes.count(Outcome::SendFailed);
                self.shared.give_back(chunk);
            }
        }
    }

    /// Tells the kernel of frames to send: in copy mode it sends them within the call, some at a time.
    fn kick(&self) {
        for _ in 0..KICKS {
            if !self.shared.wants_kick() {
                return;
            }
            match send(&self.socket, &[], SendFlags::DONTWAIT) {
                Ok(_) | Err(Errno::AGAIN | Errno::BUSY | Errno::NOBUFS | Errno::INTR) => {}
                // What cannot be sent stays in the ring until the interface is up again, or gone.
                Err(_) => return,
            }
        }
    }

    /// The error that the socket has to tell, once.
    fn pending(&self) -> Result<(), Error> {
        let told = sockopt::socket_error(&self.socket);
        let errno = match told {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(errno)) | Err(errno) => errno,
        };
        Err(sys::not_received(&self.name, errno))
    }
}

/// What both the port's own frames and others' have done to them, apart from sending the port's own
/// back.
fn carry_out(
    injector: Option<&Injector>,
    outlets: &mut Outlets,
    outcomes: &mut Outcomes,
    frame: &Frame<'_>,
    action: &Action,
    ifindex: u32,
) {
    match action {
        Action::Drop => outcomes.count(Outcome::Dropped),
        Action::Pass => {
            let passed = injector.is_some_and(|injector| injector.pass(frame).is_ok());
            outcomes.count(if passed { Outcome::Passed } else { Outcome::PassFailed });
        }
        Action::Transmit => outlets.send(ifindex, frame.bytes(), Outcome::Transmitted, outcomes),
        Action::Redirect(target) => {
            outlets.send(*target, frame.bytes(), Outcome::Redirected, outcomes);
        }
        Action::Broadcast(targets) => {
            for target in targets {
                outlets.send(*target, frame.bytes(), Outcome::Redirected, outcomes);
            }
        }
        Action::Copies(copies) => {
            for Copied { ifindex, frame } in copies {
                outlets.send(*ifindex, frame, Outcome::Redirected, outcomes);
            }
        }
    }
}

impl Port for AfXdp {
    fn name(&self) -> &str {
        &self.name
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }

    fn receive(&mut self, program: &mut Program<'_>) -> Result<Batch, Error> {
        self.shared.recycle();
        let mut frames = 0;
        while frames < BATCH {
            let Some(placed) = self.shared.received() else { break };
            frames += 1;
            self.run(placed, program);
        }
        self.shared.publish();
        self.kick();
        if frames > 0 {
            return Ok(Batch::Frames(frames));
        }
        self.pending()?;
        Ok(Batch::Idle)
    }

    fn carry_out(
        &mut self,
        frame: &mut Frame<'_>,
        _arrival: &Arrival,
        action: &Action,
    ) -> Result<(), Error> {
        let Self { injector, outlets, outcomes, ifindex, .. } = self;
        carry_out(injector.as_ref(), outlets, outcomes, frame, action, *ifindex);
        Ok(())
    }

    fn outcomes(&self) -> Outcomes {
        let mut outcomes = self.outcomes;
        if let Ok(lost) = sockopt::xdp_statistics(&self.socket) {
            let full = lost.rx_ring_full.unwrap_or(0);
            let empty = lost.rx_fill_ring_empty_descs.unwrap_or(0);
            outcomes.set(Outcome::Overrun, full.saturating_add(empty));
            outcomes.add(Outcome::Unfit, lost.rx_dropped);
        }
        outcomes
    }

    fn finish(&mut self) -> Result<(), Error> {
        self.shared.publish();
        self.kick();
        let unsent = u64::from(self.shared.unsent());
        if unsent == 0 {
            return Ok(());
        }
        Err(Error::Host {
            operation: "send",
            object: format!("{unsent} frames from {}", self.name),
            source: std::io::ErrorKind::WouldBlock.into(),
        })
    }
}
