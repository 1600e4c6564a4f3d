//! The ports of the userspace engine: a socket against a bare receive loop, and the replay of a capture.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hoist_benches::Generator;
use hoist_benches::pairs::{in_turn, interleaved};
use hoist_benches::stats::Summary;
use hoist_bpf::kernel::{Kernel, Linux, MapSpec, ProgramSpec, XdpMode};
use hoist_bpf::passes::asm;
use hoist_bpf::{Insn, Module, Selector, programs};
use hoist_fallback::userspace::ports::{Action, Batch, Capture, Port, af_xdp, capture};
use hoist_fallback::userspace::vm::{self, Machine, compiled};
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::Lab;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::bare::Bare;
use crate::world::{Failure, Outcome};

/// Pairs of trials.
const PAIRS: usize = 11;
/// One trial: what goes before it, and what counts.
const WARM_UP: Duration = Duration::from_millis(100);
const WINDOW: Duration = Duration::from_millis(400);
/// Frames of one call of the generator: some ten milliseconds.
const CALL: u32 = 1 << 16;
/// Longest sleep of a receive loop: it looks then whether the trial is over.
const NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 1_000_000 };

/// The port with a program that drops, against a loop that does nothing but receive.
pub(crate) fn af_xdp() -> Outcome<()> {
    for (name, mode) in [("native", XdpMode::Native), ("generic", XdpMode::Generic)] {
        let lab = Lab::with(|near| near.gro(true), |far| far)?;
        let result = interleaved(PAIRS, || port(&lab, mode, "drop"), || bare(&lab, mode))?;
        println!("af-xdp, {name}, Mpps, port with a drop program against a bare loop: {result}");
    }
    let lab = Lab::with(|near| near.gro(true), |far| far)?;
    let rates: Vec<f64> =
        (0..PAIRS).map(|_| port(&lab, XdpMode::Native, "pass")).collect::<Outcome<_>>()?;
    let passed = Summary::of(&rates).ok_or("no rate")?;
    println!("af-xdp, native, Mpps, every frame passed: {:.3}", passed.median);
    Ok(())
}

fn port(lab: &Lab, mode: XdpMode, program: &'static str) -> Outcome<f64> {
    let near = lab.near();
    let ifindex = near.ifindex;
    rate(lab, move || {
        let kernel: Arc<dyn Kernel> = Arc::new(Linux::new()?);
        let (attached, mut ports) = af_xdp::open(&kernel, "v0", ifindex, mode)?;
        let mut port = ports.remove(0);
        let mut machine = machine(program, compiled::When::First)?;
        Ok(move || -> Outcome<u64> {
            let _ = &attached;
            match port.receive(&mut |frame, from| Action::of(&machine.run(frame, from)))? {
                Batch::Frames(frames) => return Ok(frames as u64),
                Batch::Idle | Batch::End => {}
            }
            let fd = port.descriptor().ok_or("no descriptor")?;
            poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&NAP))?;
            Ok(0)
        })
    })
}

fn bare(lab: &Lab, mode: XdpMode) -> Outcome<f64> {
    let near = lab.near();
    let ifindex = near.ifindex;
    rate(lab, move || {
        let kernel = Linux::new()?;
        let mut socket = opened(ifindex)?;
        let link = redirect(&kernel, ifindex, mode, socket.socket())?;
        Ok(move || -> Outcome<u64> {
            let _ = &link;
            let frames = socket.receive();
            if frames == 0 {
                let fd = socket.socket().as_fd();
                poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&NAP))?;
            }
            Ok(frames.into())
        })
    })
}

/// A queue that was just closed is free a moment later.
fn opened(ifindex: u32) -> Outcome<Bare> {
    let start = Instant::now();
    loop {
        match Bare::open(ifindex) {
            Err(e) if start.elapsed() < Duration::from_secs(1) => {
                if e.kind() != std::io::ErrorKind::ResourceBusy {
                    return Err(e.into());
                }
                thread::sleep(Duration::from_millis(10));
            }
            answer => return Ok(answer?),
        }
    }
}

/// `return bpf_redirect_map(&sockets, 0, 0)`, attached.
fn redirect(
    kernel: &dyn Kernel,
    ifindex: u32,
    mode: XdpMode,
    socket: &OwnedFd,
) -> Outcome<(OwnedFd, OwnedFd)> {
    let map = kernel.create_map(&MapSpec {
        name: "sockets".to_owned(),
        kind: 17,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        ..MapSpec::default()
    })?;
    kernel.map_update(map.as_fd(), &[0; 4], &socket.as_raw_fd().to_ne_bytes(), 0)?;
    let mut load = asm::load_map(1);
    load.imm = map.as_raw_fd();
    let insns = [
        load,
        Insn::default(),
        asm::mov_imm(2, 0),
        asm::mov_imm(3, 0),
        asm::helper(51),
        asm::exit(),
    ];
    let program = kernel.load_program(&ProgramSpec {
        name: "bare".to_owned(),
        kind: 6,
        expected_attach_type: 37,
        insns: &insns,
        license: "Dual MIT/GPL".to_owned(),
        ..ProgramSpec::default()
    })?;
    Ok((kernel.link_xdp(program.as_fd(), ifindex, mode)?, map))
}

/// Millions of frames a second that a receive loop takes while the far end sends as fast as it can.
/// `prepare` runs on the loop's own thread, in the near namespace.
fn rate<L: FnMut() -> Outcome<u64>>(
    lab: &Lab,
    prepare: impl FnOnce() -> Outcome<L> + Send,
) -> Outcome<f64> {
    let (ready, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let frame = Frame::eth(lab.near().mac, lab.far().mac)
        .ipv4(Lab::FAR.octets(), Lab::NEAR.octets())
        .udp(4000, 9)
        .bytes();
    thread::scope(|scope| {
        let receiver = scope.spawn(|| -> Outcome<f64> {
            lab.near().namespace.run(|| {
                let prepared = prepare();
                ready.store(true, Ordering::Release);
                let measured = prepared.and_then(|turn| window(turn));
                over.store(true, Ordering::Release);
                measured
            })
        });
        while !ready.load(Ordering::Acquire) {
            thread::sleep(Duration::from_millis(1));
        }
        let sent: Outcome<()> = lab.far().namespace.run(|| {
            let generator = Generator::new(Arc::new(Linux::new()?), lab.far().ifindex, frame)?;
            while !over.load(Ordering::Acquire) {
                generator.send(CALL)?;
            }
            Ok(())
        });
        let rate = receiver.join().map_err(|_| "the receive loop panicked")??;
        sent.map(|()| rate)
    })
}

fn window(mut turn: impl FnMut() -> Outcome<u64>) -> Outcome<f64> {
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        turn()?;
    }
    let (start, mut frames) = (Instant::now(), 0);
    while start.elapsed() < WINDOW {
        frames += turn()?;
    }
    Ok(frames as f64 / start.elapsed().as_secs_f64() / 1e6)
}

/// Frames of the capture that is replayed.
const REPLAYED: usize = 1_000_000;

/// A capture through the counter, without output and with.
pub(crate) fn replay() -> Outcome<()> {
    let folder = std::env::temp_dir().join(format!("hoist-replay-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let result = replay_in(&folder);
    std::fs::remove_dir_all(&folder)?;
    result
}

fn replay_in(folder: &Path) -> Outcome<()> {
    let path = folder.join("in.pcap");
    std::fs::write(&path, pcap())?;
    let output = folder.join("out.pcapng");
    let reading = |_: &Path| Ok(None);
    let writing = |output: &Path| capture::Writer::create(output).map(Some);
    let once = |program, when, writer: &dyn Fn(&Path) -> Result<_, _>| -> Outcome<f64> {
        let mut machine = machine(program, when)?;
        let mut port = Capture::open(&path, writer(&output)?, capture::Options::default())?;
        let start = on_cpu()?;
        while port.receive(&mut |frame, from| Action::of(&machine.run(frame, from)))? != Batch::End
        {
        }
        port.finish()?;
        Ok(REPLAYED as f64 / (on_cpu()? - start) * 1e3)
    };
    let (never, first) = (compiled::When::Never, compiled::When::First);
    let rounds = in_turn::<Failure>(
        PAIRS,
        &mut [
            &mut || once("count_proto", first, &reading),
            &mut || once("count_proto", first, &writing),
            &mut || once("count_proto", never, &reading),
            &mut || once("pass", first, &reading),
        ],
    )?;
    for (side, name) in
        ["count_proto", "count_proto, with output", "count_proto, interpreted", "pass"]
            .into_iter()
            .enumerate()
    {
        let summary = rounds.summary(side);
        println!(
            "replay, {name}, millions of frames per second of CPU time: {:.2} (min {:.2}, max {:.2})",
            summary.median, summary.min, summary.max
        );
    }
    Ok(())
}

/// Nanoseconds that this thread had a CPU: what others do meanwhile is not in it.
fn on_cpu() -> Outcome<f64> {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(times.split_whitespace().next().unwrap_or_default().parse()?)
}

/// A capture of small UDP datagrams and TCP segments in turn.
fn pcap() -> Vec<u8> {
    let frame = |tcp: bool| {
        let frame = Frame::eth([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4(Lab::FAR.octets(), Lab::NEAR.octets());
        let frame = if tcp { frame.tcp(4000, 80, 0x10) } else { frame.udp(4000, 9) };
        frame.pad_to(64).bytes()
    };
    let frames = [frame(false), frame(true)];
    let mut file = Vec::with_capacity(24 + REPLAYED * 80);
    for word in [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_ne_bytes());
    }
    for at in 0..REPLAYED {
        let bytes = &frames[at % 2];
        let length = bytes.len() as u32;
        for word in [(at / 1_000_000) as u32, (at % 1_000_000) as u32 * 1000, length, length] {
            file.extend(word.to_ne_bytes());
        }
        file.extend(bytes);
    }
    file
}

fn machine(name: &str, compile: compiled::When) -> Outcome<Machine> {
    let prebuilt = programs::get(name).ok_or_else(|| format!("no program {name}"))?;
    let module = Arc::new(Module::parse(name, prebuilt.object)?);
    let program = module.select(&Selector::default())?;
    let options = vm::Options { compile, ..vm::Options::default() };
    let words = |gaps: Vec<hoist_offload::Gap>| {
        gaps.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    Ok(Machine::new(&module, program, &options).map_err(words)?)
}
