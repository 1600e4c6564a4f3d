//! A machine at work on an interface: a thread for each queue, one machine for all of them.

use std::any::Any;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hoist_bpf::kernel::{Capability, Kernel, KernelError, XdpMode, capability};
use hoist_bpf::module::MapId;
use hoist_offload::attach::{Effective, Fault, MapHandle, Stats};
use hoist_offload::{Attachment, Device, EngineKind, Error, Gap, Hook, Prepared};

use super::engine::{UserPrepared, refused};
use super::executor::Executor;
use super::maps;
use super::ports::capture::Writer;
use super::ports::{Batch, Outcomes, Port, Wake, af_packet, af_xdp, record, wait};
use super::vm::{Arrival, Frame};

/// How often a thread looks after its port when no frame comes.
const PATROL: Duration = Duration::from_secs(1);
/// Ethernet header and two VLAN tags: what a frame has above the MTU.
const HEADERS: u32 = 14 + 8;

/// A machine and what its threads tell of it.
#[derive(Debug)]
pub(super) struct Shared {
    executor: Arc<Mutex<Executor>>,
    /// What became of frames, by thread.
    outcomes: Mutex<Vec<Outcomes>>,
    /// Why a thread ended before it was told to.
    failed: Mutex<Option<String>>,
    /// Where packets are written down.
    record: Mutex<Option<Writer>>,
}

impl Shared {
    pub(super) fn new(executor: Executor) -> Arc<Self> {
        Arc::new(Self {
            executor: Arc::new(Mutex::new(executor)),
            outcomes: Mutex::default(),
            failed: Mutex::default(),
            record: Mutex::default(),
        })
    }

    /// The machine, between batches.
    pub(super) fn lock(&self) -> MutexGuard<'_, Executor> {
        lock(&self.executor)
    }

    pub(super) fn maps(&self) -> Vec<MapHandle> {
        let ids: Vec<MapId> = self.lock().machine().maps().ids().collect();
        ids.into_iter().filter_map(|id| maps::handle(&self.executor, id)).collect()
    }

    pub(super) fn map(&self, name: &str) -> Option<MapHandle> {
        self.maps().into_iter().find(|map| map.def().name == name)
    }
}

/// A thread that panicked while it held the lock left what it guards as whole as any operation does.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens the ports and starts a thread for each.
pub(super) fn start(prepared: UserPrepared) -> Result<Box<dyn Attachment>, Error> {
    let UserPrepared { kernel, hook, device, program, may_pass, shared } = prepared;
    let routes = follow_routes(&device, &shared)?;
    let opened = match hook {
        Hook::AfXdp => behind_xdp(&kernel, &device, may_pass),
        _ => behind_packet(&kernel, &device),
    };
    let (hold, ports) = opened.map_err(|gaps| refused(hook, &device, &program, gaps))?;
    let threads = Vec::new();
    let attachment =
        UserAttachment { kernel, hook, device, shared, hold, threads, _routes: routes };
    Ok(Box::new(attachment.with_threads(ports)?))
}

#[cfg(feature = "linux")]
type Routes = Option<super::routes::Follower>;
#[cfg(not(feature = "linux"))]
type Routes = ();

/// Keeps the machine's routes those of the host, where the program asks for any.
#[cfg(feature = "linux")]
fn follow_routes(device: &Device, shared: &Arc<Shared>) -> Result<Routes, Error> {
    if !super::routes::concern(shared.lock().machine().module()) {
        return Ok(None);
    }
    let machine = Arc::clone(&shared.executor);
    let set = move |index| lock(&machine).machine_mut().environment_mut().set_routing(index);
    super::routes::Follower::start(set).map(Some).map_err(|source| Error::Host {
        operation: "follow the routes of",
        object: device.name.clone(),
        source,
    })
}

#[cfg(not(feature = "linux"))]
fn follow_routes(_: &Device, _: &Arc<Shared>) -> Result<Routes, Error> {
    Ok(())
}

type Opened = (Option<af_xdp::Attached>, Vec<Box<dyn Port>>);

/// AF_XDP sockets: under native XDP where the device has it. Under generic XDP nothing can be passed.
fn behind_xdp(
    kernel: &Arc<dyn Kernel>,
    device: &Device,
    may_pass: bool,
) -> Result<Opened, Vec<Gap>> {
    let mut gaps = Vec::new();
    for mode in [XdpMode::Native, XdpMode::Generic] {
        if may_pass && let Some(gap) = af_xdp::pass_gap(mode) {
            add(&mut gaps, gap);
            continue;
        }
        match af_xdp::open(kernel, &device.name, device.ifindex, mode) {
            Ok((attached, ports)) => {
                let longest = device.mtu_bytes.saturating_add(HEADERS) as usize;
                let gap = if may_pass { attached.length_gap(longest) } else { Ok(None) };
                match gap {
                    Ok(None) => {
                        let port = |port| -> Box<dyn Port> { Box::new(port) };
                        return Ok((Some(attached), ports.into_iter().map(port).collect()));
                    }
                    Ok(Some(gap)) => add(&mut gaps, gap),
                    Err(error) => add(&mut gaps, gap_of("af-xdp-refused", &error)),
                }
            }
            Err(error) => add(&mut gaps, gap_of("af-xdp-refused", &error)),
        }
    }
    Err(gaps)
}

fn behind_packet(kernel: &Arc<dyn Kernel>, device: &Device) -> Result<Opened, Vec<Gap>> {
    match af_packet::AfPacket::open(kernel, &device.name, device.ifindex) {
        Ok(port) => Ok((None, vec![Box::new(port)])),
        Err(error) if error.errno == libc::EPERM && may_administer() => {
            let message = format!(
                "another process has the frames of {} to itself: it runs a program behind a packet \
                 socket there",
                device.name
            );
            let remedy = format!("'hoist status {}' shows it; end it first", device.name);
            Err(vec![Gap::new("slot-held", message).remedy(remedy)])
        }
        Err(error) => Err(vec![gap_of("af-packet-refused", &error)]),
    }
}

/// Whether what the kernel forbids is not for want of a privilege.
fn may_administer() -> bool {
    capability::effective().is_ok_and(|held| held.contains(&Capability::CapNetAdmin))
}

/// Adds a gap, unless the other mode met the same.
fn add(gaps: &mut Vec<Gap>, gap: Gap) {
    if !gaps.contains(&gap) {
        gaps.push(gap);
    }
}

fn gap_of(code: &str, error: &KernelError) -> Gap {
    let gap = Gap::kernel(code, error);
    match error.errno {
        libc::EPERM => gap.remedy("run it as root, or with CAP_NET_ADMIN and CAP_NET_RAW"),
        // `xdp_umem_account_pages` counts against the limit of the user.
        libc::ENOBUFS => gap.remedy(format!(
            "allow {} KiB more of locked memory for each queue of the interface: 'ulimit -l', \
             'systemctl set-property UNIT LimitMEMLOCK=infinity', or CAP_IPC_LOCK",
            af_xdp::LOCKED_BYTES >> 10
        )),
        _ => gap,
    }
}

/// A machine at work on an interface.
#[derive(Debug)]
struct UserAttachment {
    kernel: Arc<dyn Kernel>,
    hook: Hook,
    device: Device,
    shared: Arc<Shared>,
    /// What brings the frames to AF_XDP sockets; goes before they do.
    hold: Option<af_xdp::Attached>,
    threads: Vec<Worker>,
    _routes: Routes,
}

#[derive(Debug)]
struct Worker {
    stop: UnixStream,
    thread: JoinHandle<Result<(), Error>>,
}

impl UserAttachment {
    fn with_threads(mut self, ports: Vec<Box<dyn Port>>) -> Result<Self, Error> {
        *lock(&self.shared.outcomes) = vec![Outcomes::default(); ports.len()];
        let failed = |operation| {
            let object = self.device.name.clone();
            move |source| Error::Host { operation, object, source }
        };
        let mut threads = Vec::new();
        for (number, port) in ports.into_iter().enumerate() {
            let (stop, stopped) = UnixStream::pair().map_err(failed("start a thread for"))?;
            let shared = self.shared.clone();
            let thread = std::thread::Builder::new()
                .name(format!("hoist-{number}"))
                .spawn(move || work(&shared, number, port, &stopped))
                .map_err(failed("start a thread for"))?;
            threads.push(Worker { stop, thread });
        }
        self.threads = threads;
        Ok(self)
    }

    /// Ends the flow of frames, then the threads.
    fn stop(&mut self) -> Result<(), Error> {
        drop(self.hold.take());
        let mut result = Ok(());
        for Worker { mut stop, thread } in self.threads.drain(..) {
            // A thread that ended already does not read it.
            let _ = stop.write_all(&[0]);
            if let Ok(Err(error)) = thread.join() {
                result = Err(error);
            }
        }
        let written = lock(&self.shared.record).take().map_or(Ok(()), |mut record| record.finish());
        result.and(written)
    }
}

impl Drop for UserAttachment {
    fn drop(&mut self) {
        // Who wants to know asks by `detach`.
        let _ = self.stop();
    }
}

/// Runs the machine on what comes in by one port, until told to stop.
fn work(
    shared: &Shared,
    number: usize,
    mut port: Box<dyn Port>,
    stop: &UnixStream,
) -> Result<(), Error> {
    loop {
        let batch = {
            let mut executor = shared.lock();
            let mut judge =
                |frame: &mut Frame<'_>, arrival: &Arrival| executor.judge(frame, arrival);
            match &mut *lock(&shared.record) {
                None => port.receive(&mut judge),
                Some(writer) => record::receive(&mut *port, writer, &mut judge),
            }
        };
        if let Some(slot) = lock(&shared.outcomes).get_mut(number) {
            *slot = port.outcomes();
        }
        let next = match batch {
            // Between full batches the stop is looked for, too.
            Ok(Batch::Frames(_)) => wait(&*port, stop.as_fd(), Some(Duration::ZERO)),
            Ok(Batch::Idle) => wait(&*port, stop.as_fd(), Some(PATROL)),
            Ok(Batch::End) => Ok(Wake::Stop),
            Err(error) => Err(error),
        };
        match next {
            Ok(Wake::Stop) => return port.finish(),
            Ok(Wake::Frames | Wake::Timeout) => {}
            Err(error) => {
                lock(&shared.failed).get_or_insert(error.to_string());
                return Err(error);
            }
        }
    }
}

impl Attachment for UserAttachment {
    fn effective(&self) -> Result<Effective, Error> {
        let gone = |why: String| Error::Host {
            operation: "run on",
            object: self.device.name.clone(),
            source: std::io::Error::other(why),
        };
        if let Some(why) = &*lock(&self.shared.failed) {
            return Err(gone(why.clone()));
        }
        let mut effective =
            Effective { engine: EngineKind::User, hook: self.hook, program_id: 0, link_id: None };
        if let Some(hold) = &self.hold {
            effective.program_id = self.kernel.program_info(hold.program())?.id;
            let link = self.kernel.link_info(hold.link())?;
            // A link whose interface is gone stays, but names none.
            if link.ifindex == 0 {
                return Err(gone("the interface is gone".to_owned()));
            }
            effective.link_id = Some(link.id);
        }
        Ok(effective)
    }

    fn engine(&self) -> EngineKind {
        EngineKind::User
    }

    fn ifindex(&self) -> u32 {
        self.device.ifindex
    }

    fn map(&self, name: &str) -> Option<MapHandle> {
        self.shared.map(name)
    }

    fn maps(&self) -> Vec<MapHandle> {
        self.shared.maps()
    }

    fn stats(&self) -> Result<Option<Stats>, Error> {
        Ok(Some(self.shared.lock().stats()))
    }

    fn events(&self) -> Result<BTreeMap<&'static str, u64>, Error> {
        let outcomes = lock(&self.shared.outcomes);
        let all = outcomes.iter().fold(Outcomes::default(), |all, one| all.plus(one));
        let mut events = all.failures();
        let executor = self.shared.lock();
        events.extend(executor.events());
        let faults = executor.fault_count();
        if faults > 0 {
            events.insert("faults", faults);
        }
        Ok(events)
    }

    fn faults(&self) -> Vec<Fault> {
        self.shared.lock().faults()
    }

    fn record(&self, name: &str, to: Box<dyn std::io::Write + Send>) -> Result<(), Error> {
        *lock(&self.shared.record) = Some(Writer::new(name.to_owned(), to)?);
        Ok(())
    }

    fn messages(&self) -> Vec<String> {
        self.shared.lock().machine_mut().environment_mut().take_messages()
    }

    fn replace(&mut self, next: Box<dyn Prepared>) -> Result<(), Error> {
        let next: Box<dyn Any> = next;
        let same = next
            .downcast::<UserPrepared>()
            .ok()
            .filter(|next| next.hook == self.hook && next.device.ifindex == self.device.ifindex);
        let Some(next) = same else {
            return Err(Error::Input {
                what: format!("{}: the program was prepared for elsewhere", self.device.name),
                hint: Some("prepare it by the same engine for the same interface".to_owned()),
            });
        };
        let mut theirs = next.shared.lock();
        std::mem::swap(&mut *self.shared.lock(), &mut *theirs);
        Ok(())
    }

    fn detach(mut self: Box<Self>) -> Result<(), Error> {
        self.stop()
    }

    fn release(self: Box<Self>) {}
}
