//! Writing captures: pcapng with nanoseconds, an interface for each way that frames take.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, SystemTime};

use hoist_offload::error::Error;
use pcap_file::DataLink;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgWriteError, PcapNgWriter};

/// Bytes that are collected before the file is written to.
const CHUNK: usize = 1 << 20;

/// A way that frames take, which becomes an interface of the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Into the program.
    Received,
    /// `XDP_DROP` and `XDP_ABORTED`: nowhere.
    Drop,
    /// `XDP_PASS`.
    Pass,
    /// `XDP_TX`.
    Transmit,
    /// `XDP_REDIRECT` to the interface of this index.
    Redirect(u32),
}

impl fmt::Display for Lane {
    /// The name of the interface in the capture.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Received => f.write_str("received"),
            Self::Drop => f.write_str("drop"),
            Self::Pass => f.write_str("pass"),
            Self::Transmit => f.write_str("tx"),
            Self::Redirect(ifindex) => write!(f, "redirect:{ifindex}"),
        }
    }
}

/// A capture file that is being written.
pub struct Writer {
    name: String,
    lanes: Vec<Lane>,
    inner: PcapNgWriter<BufWriter<Box<dyn Write + Send>>>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Writer {
    /// Creates a capture file, or empties one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let file = File::create(path).map_err(|source| Error::Host {
            operation: "create",
            object: name.clone(),
            source,
        })?;
        Self::new(name, Box::new(file))
    }

    /// Writes a capture to anywhere, a pipe for example.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn new(name: String, to: Box<dyn Write + Send>) -> Result<Self, Error> {
        let section = SectionHeaderBlock {
            options: vec![SectionHeaderOption::UserApplication("hoist".into())],
            ..SectionHeaderBlock::default()
        };
        let to = BufWriter::with_capacity(CHUNK, to);
        match PcapNgWriter::with_section_header(to, section) {
            Ok(inner) => Ok(Self { name, lanes: Vec::new(), inner }),
            Err(error) => Err(failed(&name, error)),
        }
    }

    /// Writes a frame that took a lane at a time, in nanoseconds since 1970; `None`: now.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&mut self, lane: Lane, time_ns: Option<u64>, frame: &[u8]) -> Result<(), Error> {
        self.write_with(lane, time_ns, frame, None)
    }

    /// Like [`Writer::write`], with a comment on the frame.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_with(
        &mut self,
        lane: Lane,
        time_ns: Option<u64>,
        frame: &[u8],
        text: Option<&str>,
    ) -> Result<(), Error> {
        let interface_id = self.interface(lane)?;
        let timestamp = time_ns.map_or_else(now, Duration::from_nanos);
        let comment = |text| EnhancedPacketOption::Common(CommonOption::Comment(text));
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp,
            original_len: u32::try_from(frame.len()).unwrap_or(u32::MAX),
            data: frame.into(),
            options: text.map(|text| comment(text.into())).into_iter().collect(),
        };
        self.inner.write_pcapng_block(block).map_err(|error| failed(&self.name, error))?;
        Ok(())
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(&mut self) -> Result<(), Error> {
        let flushed = self.inner.get_mut().flush();
        flushed.map_err(|source| host(&self.name, source))
    }

    /// The interface of a lane, described in the file when the first frame takes it.
    fn interface(&mut self, lane: Lane) -> Result<u32, Error> {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        if let Some(at) = self.lanes.iter().position(|known| *known == lane) {
            return Ok(number(at));
        }
        let description = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(lane.to_string().into()),
                InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO),
            ],
        };
        self.inner.write_pcapng_block(description).map_err(|error| failed(&self.name, error))?;
        self.lanes.push(lane);
        Ok(number(self.lanes.len() - 1))
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn host(name: &str, source: io::Error) -> Error {
    Error::Host { operation: "write", object: name.to_owned(), source }
}

fn failed(name: &str, error: PcapNgWriteError) -> Error {
    host(
        name,
        match error {
            PcapNgWriteError::Io(error) => error,
            other => io::Error::other(other.to_string()),
        },
    )
}
