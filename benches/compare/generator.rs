//! Generators: ours within the kernel against the least that makes frames there, against what
//! xdp-trafficgen does for each frame, and against sockets.

use std::cell::RefCell;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hoist_benches::generator::live::{Live, Options};
use hoist_benches::generator::sockets::{Kind, Sockets};
use hoist_benches::meter::Traffic as _;
use hoist_benches::pairs::{Measurement, in_turn};
use hoist_benches::profile::{Ends, Frames, Profile};
use hoist_benches::stats::Summary;
use hoist_benches::trial::Order;
use hoist_benches::{Generator, ReceiveCounter};
use hoist_bpf::Module;
use hoist_bpf::kernel::loader::{self, ATTACH_TYPE_XDP, LoadSpec, PROG_TYPE_XDP};
use hoist_bpf::kernel::{Kernel, Linux, ProgramSpec, TestRunSpec, XdpMode};
use hoist_bpf::module::MapId;
use hoist_bpf::parse::Selector;
use hoist_bpf::passes::asm;
use hoist_hwtests::lab::Lab;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::world::{Failure, Outcome};

/// Rounds. Many short ones rather than few long ones: a machine's mood outlasts a trial.
const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_millis(100);
const WINDOW: Duration = Duration::from_millis(300);
/// The processor that sends.
const CPU: usize = 0;
/// Frames of a call of the generator that cannot be told to stop: half a second or so.
const CALL: u32 = 1 << 22;

/// Seconds that this process had a processor: what others do meanwhile is not in it.
fn cpu_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What sends until told to stop, on the calling thread.
type Sender<'s> = Box<dyn FnMut(&AtomicBool) -> Outcome<()> + Send + 's>;

/// A pair whose near end drops everything in the driver.
struct Range {
    lab: Lab,
    kernel: Arc<dyn Kernel>,
    _link: OwnedFd,
}

impl Range {
    fn new(queues: u32) -> Outcome<Self> {
        let lab = Lab::with(|near| near.queues(queues, queues), |far| far.queues(queues, queues))?;
        let kernel: Arc<dyn Kernel> = Arc::new(Linux::new()?);
        let insns = [asm::mov_imm(0, 1), asm::exit()];
        let link = lab.near().namespace.run(|| -> Outcome<OwnedFd> {
            let spec = ProgramSpec {
                name: "drop".to_owned(),
                kind: 6,
                expected_attach_type: 37,
                insns: &insns,
                license: "Dual MIT/GPL".to_owned(),
                ..ProgramSpec::default()
            };
            let program = kernel.load_program(&spec)?;
            Ok(kernel.link_xdp(program.as_fd(), lab.near().ifindex, XdpMode::Native)?)
        })?;
        Ok(Self { lab, kernel, _link: link })
    }

    fn frames(&self, profile: &str, stamped: bool) -> Outcome<Frames> {
        let ends = Ends::between(self.lab.far().mac, self.lab.near().mac);
        Ok(Frames::of(&Profile::named(profile)?, ends, stamped)?)
    }

    fn live(&self, profile: &str, stamped: bool, options: Options) -> Outcome<Live> {
        let frames = self.frames(profile, stamped)?;
        Ok(Live::new(self.kernel.clone(), self.lab.far().ifindex, frames, options)?)
    }

    /// Millions of frames a second that arrive while something sends.
    fn rate(&self, sender: &mut Sender<'_>, costs: &RefCell<Vec<f64>>) -> Outcome<f64> {
        let mut counter = self.lab.near().namespace.run(|| ReceiveCounter::open("v0"))?;
        let stop = AtomicBool::new(false);
        let far = &self.lab.far().namespace;
        let (before, cpu) = (counter.packets()?, cpu_time());
        let rate: Outcome<f64> = thread::scope(|scope| {
            let sending = scope.spawn(|| far.run(|| sender(&stop)));
            let rate = window(&mut counter);
            stop.store(true, Ordering::Release);
            sending.join().map_err(|_| "the generator panicked")??;
            rate
        });
        let frames = counter.packets()? - before;
        costs.borrow_mut().push((cpu_time() - cpu) * 1e9 / frames as f64);
        rate
    }
}

fn window(counter: &mut ReceiveCounter) -> Outcome<f64> {
    let (start, idle) = (Instant::now(), counter.packets()?);
    while counter.packets()? == idle && start.elapsed() < Duration::from_secs(2) {
        thread::sleep(Duration::from_millis(1));
    }
    thread::sleep(WARM_UP);
    let (start, first) = (Instant::now(), counter.packets()?);
    thread::sleep(WINDOW);
    let (took, last) = (start.elapsed(), counter.packets()?);
    Ok((last - first) as f64 / took.as_secs_f64() / 1e6)
}

fn live(mut generator: Live) -> Sender<'static> {
    Box::new(move |stop| {
        generator.run(None, 60.0, stop)?;
        Ok(())
    })
}

/// The least that makes frames: two instructions.
fn bare(generator: Generator) -> Sender<'static> {
    Box::new(move |stop| {
        pin()?;
        while !stop.load(Ordering::Acquire) {
            generator.send(CALL)?;
        }
        Ok(())
    })
}

/// A generator of sockets, in orders of a second.
fn sockets(mut sockets: Sockets) -> Sender<'static> {
    Box::new(move |stop| {
        while !stop.load(Ordering::Acquire) {
            sockets.send(&Order { load: None, seconds: 1.0 }, stop)?;
        }
        Ok(())
    })
}

/// What xdp-trafficgen does for each frame of `udp`, under the live frames that it uses too.
fn trafficgen(range: &Range) -> Outcome<Sender<'static>> {
    let module = Module::parse("trafficgen", include_bytes!("../programs/trafficgen.bpf.o"))?;
    let program = module.select(&Selector::default())?;
    let config = module.maps.iter().position(|map| map.name == ".rodata").ok_or("no constants")?;
    let ifindex = range.lab.far().ifindex.to_ne_bytes().to_vec();
    let contents = [(MapId(u32::try_from(config)?), vec![(vec![0; 4], ifindex)])].into();
    let spec = LoadSpec {
        module: &module,
        program,
        kind: PROG_TYPE_XDP,
        attach_type: ATTACH_TYPE_XDP,
        binding: None,
        pin_root: None,
        contents: &contents,
    };
    let loaded = loader::load(&*range.kernel, &spec)?;
    let (kernel, frame) = (range.kernel.clone(), range.frames("64", false)?.longest().to_vec());
    Ok(Box::new(move |stop| {
        pin()?;
        while !stop.load(Ordering::Acquire) {
            let spec = TestRunSpec {
                data: &frame,
                repeat: CALL,
                live_frames: true,
                batch: Generator::BATCH,
                ..TestRunSpec::default()
            };
            kernel.test_run(loaded.program.as_fd(), &spec)?;
        }
        Ok(())
    }))
}

/// The tracepoint by which xdp-tools count what drivers take, watched until this is dropped: by
/// bpftool, since hoist attaches nothing there.
struct Watched(PathBuf);

impl Watched {
    fn new() -> Outcome<Self> {
        let name = format!("hoist-watch-{}", std::process::id());
        let (file, pins) = (std::env::temp_dir().join(&name), Path::new("/sys/fs/bpf").join(&name));
        std::fs::write(&file, include_bytes!("../programs/xmit_watch.bpf.o"))?;
        let mut command = Command::new("bpftool");
        command.args(["prog", "loadall"]).arg(&file).arg(&pins).arg("autoattach");
        let output = command.output();
        std::fs::remove_file(&file)?;
        let output = output?;
        if !output.status.success() {
            return Err(
                format!("bpftool: {}", String::from_utf8_lossy(&output.stderr).trim()).into()
            );
        }
        Ok(Self(pins))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Whatever stays is seen in /sys/fs/bpf.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn pin() -> Outcome<()> {
    let mut cpus = CpuSet::new();
    cpus.set(CPU);
    Ok(sched_setaffinity(None, &cpus)?)
}

/// All figures of generators.
pub(crate) fn rates() -> Outcome<()> {
    one_core()?;
    two_cores()?;
    pacing()
}

/// Two processors at once, against the frames that a 10 Gbit/s wire has.
fn two_cores() -> Outcome<()> {
    let range = Range::new(2)?;
    let mut sender = live(range.live("64", false, Options::on(&[0, 1]))?);
    let costs = RefCell::default();
    let rates =
        (0..=ROUNDS).map(|_| range.rate(&mut sender, &costs)).collect::<Outcome<Vec<_>>>()?;
    let rate = Summary::of(&rates[1..]).ok_or("nothing was measured")?;
    let wire = Profile::of_size(64).line_rate(10e9) / 1e6;
    println!(
        "two cores, Mpps: {:.2} (min {:.2}, max {:.2}), of 10GbE line rate ({wire:.3}): {:.3}",
        rate.median,
        rate.min,
        rate.max,
        rate.median / wire
    );
    Ok(())
}

/// How exactly a load is kept, with stamps, and what the schedule costs.
fn pacing() -> Outcome<()> {
    let range = Range::new(1)?;
    let never = AtomicBool::new(false);
    let far = &range.lab.far().namespace;
    let mut live = range.live("64", true, Options::on(&[CPU as u32]))?;
    let full = far.run(|| live.run(Some(5e7), 1.0, &never))?;
    let capacity = full.generated() as f64 / full.seconds();
    println!(
        "paced with stamps, at most: {:.2} Mpps, {:.1} ns per frame",
        capacity / 1e6,
        1e9 / capacity
    );
    println!(
        "| Mpps asked | of capacity | intended | generated | rate error | late p50 | p99 | p99.9 | max |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for load in [1e5, 5e5, 1e6, 2e6, 3e6, 4e6] {
        let run = far.run(|| live.run(Some(load), 2.0, &never))?;
        let late = run.late().unwrap_or_default();
        let error = run.generated() as f64 / (load * 2.0) - 1.0;
        println!(
            "| {:.1} | {:.0} % | {} | {} | {:+.4} % | {} ns | {} ns | {} ns | {} ns |",
            load / 1e6,
            100.0 * load / capacity,
            run.intended,
            run.generated(),
            100.0 * error,
            late.p50,
            late.p99,
            late.p99_9,
            late.max
        );
    }
    Ok(())
}

/// Rates on one processor, in turn.
fn one_core() -> Outcome<()> {
    let range = Range::new(1)?;
    let on = || Options::on(&[CPU as u32]);
    let frame = range.frames("64", false)?.longest().to_vec();
    let least = Generator::new(range.kernel.clone(), range.lab.far().ifindex, frame)?;
    let mut senders: Vec<(&str, Sender<'_>)> = vec![
        ("two instructions", bare(least)),
        ("live", live(range.live("64", false, Options { rewrite: false, ..on() })?)),
        ("live, rewritten", live(range.live("64", false, on())?)),
        ("live, stamped", live(range.live("64", true, on())?)),
        ("live, 1024 flows", live(range.live("flows-1024", false, on())?)),
        ("live, imix", live(range.live("imix", false, on())?)),
    ];
    let far = range.lab.far();
    for (name, kind) in [("AF_XDP", Kind::AfXdp), ("AF_PACKET", Kind::AfPacket)] {
        let frames = range.frames("64", false)?;
        senders.push((name, sockets(Sockets::new(kind, &far.name, far.ifindex, frames, on()))));
    }
    senders.push(("as xdp-trafficgen", trafficgen(&range)?));
    // bpftool 7.1 cannot attach to a tracepoint.
    match Watched::new() {
        Err(why) => println!("as xdp-trafficgen, watched: not taken: {why}"),
        Ok(first) => {
            drop(first);
            let mut sender = trafficgen(&range)?;
            let watched: Sender<'_> = Box::new(move |stop| {
                let _watched = Watched::new()?;
                sender(stop)
            });
            senders.push(("as xdp-trafficgen, watched", watched));
        }
    }
    let names: Vec<&str> = senders.iter().map(|(name, _)| *name).collect();
    let costs: Vec<RefCell<Vec<f64>>> = names.iter().map(|_| RefCell::default()).collect();
    let range = &range;
    let mut takes: Vec<_> = senders
        .iter_mut()
        .zip(&costs)
        .map(|((_, sender), costs)| move || range.rate(sender, costs))
        .collect();
    let mut sides: Vec<Measurement<'_, Failure>> =
        takes.iter_mut().map(|take| take as Measurement<'_, Failure>).collect();
    let rounds = in_turn(ROUNDS, &mut sides)?;
    println!("| generator | Mpps | min | max | of two instructions | ns of CPU per frame |");
    println!("|---|---|---|---|---|---|");
    for (side, name) in names.iter().enumerate() {
        let (rate, ratio) = (rounds.summary(side), rounds.of(|r| r[side] / r[0]));
        // The first was taken to warm up.
        let cost = Summary::of(&costs[side].borrow()[1..]).ok_or("nothing was measured")?;
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.3} | {:.1} (min {:.1}) |",
            rate.median, rate.min, rate.max, ratio.median, cost.median, cost.min
        );
    }
    Ok(())
}
