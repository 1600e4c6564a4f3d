//! What is seen of a shot.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket};

use hoist_offload::Stats;

use super::place::Place;
use crate::capture::{Capture, Captured};
use crate::dut::Failure;
use crate::lab::{LabError, Namespace};

/// Protocols whose handlers are watched: those of the suite's frames, and what they may become.
/// 1 and 4 are frames with a length instead of a type.
const PROTOCOLS: [u16; 11] =
    [1, 4, 0x0800, 0x0806, 0x8100, 0x86dd, 0x8847, 0x8848, 0x88a8, 0x88b5, 0x88b6];

/// Everything that one shot caused.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// By verdict; `None` where they are not counted.
    pub(super) verdicts: Option<[u64; 5]>,
    /// Bytes of the frames that the program saw, where they are counted.
    pub(super) bytes: u64,
    /// At protocol handlers of the near end.
    pub(super) stack: Vec<Captured>,
    /// At the far end.
    pub(super) peer: Vec<Captured>,
    /// Behind the port that redirects go out of.
    pub(super) third: Vec<Captured>,
    /// Datagrams by UDP port.
    pub(super) datagrams: BTreeMap<u16, Vec<Vec<u8>>>,
    /// What was read by TCP port.
    pub(super) streams: BTreeMap<u16, Vec<u8>>,
}

/// Watches all places of a [`Place`], for as long as the place is used: closing a packet socket takes
/// the kernel a grace period.
#[derive(Debug)]
pub(super) struct Observers {
    handlers: BTreeMap<u16, Capture>,
    peer: Capture,
    third: Option<Capture>,
    listeners: Listeners,
}

/// Real sockets at the near end, for one program.
#[derive(Debug, Default)]
struct Listeners {
    udp: BTreeMap<u16, UdpSocket>,
    tcp: BTreeMap<u16, (TcpListener, Vec<TcpStream>)>,
}

impl Observers {
    pub(super) fn open(place: &Place) -> Result<Self, Failure> {
        let third = place.exit.as_ref().map(|(_, third)| Capture::open(third)).transpose()?;
        let mut observers = Self {
            handlers: BTreeMap::new(),
            peer: Capture::open(&place.far)?,
            third,
            listeners: Listeners::default(),
        };
        observers.watch(place, PROTOCOLS)?;
        Ok(observers)
    }

    /// Watches the handlers of these protocols too.
    pub(super) fn watch(
        &mut self,
        place: &Place,
        protocols: impl IntoIterator<Item = u16>,
    ) -> Result<(), Failure> {
        for protocol in protocols {
            if let Entry::Vacant(free) = self.handlers.entry(protocol) {
                free.insert(Capture::of_protocol(place.dut.port(), protocol)?);
            }
        }
        Ok(())
    }

    /// Opens real sockets on these ports, and closes those there were.
    pub(super) fn listen(
        &mut self,
        place: &Place,
        udp: &BTreeSet<u16>,
        tcp: &BTreeSet<u16>,
    ) -> Result<(), Failure> {
        let near = &place.dut.port().namespace;
        self.listeners = Listeners::default();
        for port in udp {
            self.listeners.udp.insert(*port, udp_socket(near, *port)?);
        }
        for port in tcp {
            self.listeners.tcp.insert(*port, (listener(near, *port)?, Vec::new()));
        }
        Ok(())
    }

    /// Adds what has come since the last time.
    pub(super) fn collect(&mut self, seen: &mut Seen) -> Result<(), Failure> {
        for handler in self.handlers.values() {
            seen.stack.extend(handler.rest()?);
        }
        seen.peer.extend(self.peer.rest()?);
        if let Some(third) = &self.third {
            seen.third.extend(third.rest()?);
        }
        let mut bytes = vec![0; 1 << 16];
        for (port, socket) in &self.listeners.udp {
            while let Some(length) = available(socket.recv(&mut bytes))? {
                seen.datagrams.entry(*port).or_default().push(bytes[..length].to_vec());
            }
        }
        for (port, (listener, streams)) in &mut self.listeners.tcp {
            while let Some((stream, _)) = available(listener.accept())? {
                stream.set_nonblocking(true)?;
                streams.push(stream);
            }
            for stream in streams {
                while let Some(length) = available(stream.read(&mut bytes))?.filter(|n| *n > 0) {
                    seen.streams.entry(*port).or_default().extend(&bytes[..length]);
                }
            }
        }
        Ok(())
    }
}

impl Seen {
    /// What was counted between two readings.
    pub(super) fn count(&mut self, before: Option<Stats>, now: Option<Stats>) {
        let (Some(before), Some(now)) = (before, now) else { return };
        self.verdicts = Some(std::array::from_fn(|i| now.packets[i] - before.packets[i]));
        self.bytes = now.bytes.iter().sum::<u64>() - before.bytes.iter().sum::<u64>();
    }

    /// Frames seen anywhere.
    pub(super) fn frames(&self) -> usize {
        self.stack.len() + self.peer.len() + self.third.len()
    }
}

/// What a socket that does not wait has; `None` when that is nothing.
fn available<T>(answer: io::Result<T>) -> io::Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(e) => Err(e),
    }
}

/// A socket that receives over IPv4 and IPv6 alike.
fn udp_socket(namespace: &Namespace, port: u16) -> Result<UdpSocket, LabError> {
    let open = || -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    namespace.run(open).map_err(|e| LabError::io("bind UDP port", port, &e))
}

fn listener(namespace: &Namespace, port: u16) -> Result<TcpListener, LabError> {
    let open = || -> io::Result<TcpListener> {
        let socket = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    namespace.run(open).map_err(|e| LabError::io("listen on TCP port", port, &e))
}
