//! What an interface received, as the kernel counts it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};

/// The receive counter of one interface. Opened once inside the interface's network namespace, it
/// goes on counting there from wherever it is read.
#[derive(Debug)]
pub struct ReceiveCounter {
    /// `/proc/thread-self/net/dev`, which belongs to the namespace of the thread that opened it.
    table: File,
    interface: String,
}

impl ReceiveCounter {
    /// Opens the counter. The calling thread must be in the interface's network namespace.
    ///
    /// # Errors
    /// There is no such interface, or `/proc` is not mounted.
    pub fn open(interface: &str) -> io::Result<Self> {
        let table = File::open("/proc/thread-self/net/dev")?;
        let mut counter = Self { table, interface: interface.to_owned() };
        counter.packets()?;
        Ok(counter)
    }

    /// Packets received since the interface exists. A veth counts those that an XDP program drops,
    /// too.
    ///
    /// # Errors
    /// The interface is gone.
    pub fn packets(&mut self) -> io::Result<u64> {
        let mut text = String::new();
        self.table.rewind()?;
        self.table.read_to_string(&mut text)?;
        parse(&text, &self.interface).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("no interface {}", self.interface))
        })
    }
}

/// The second column of an interface's line: packets received.
fn parse(table: &str, interface: &str) -> Option<u64> {
    let columns = table.lines().filter_map(|line| line.split_once(':'));
    let (_, columns) = columns.into_iter().find(|(name, _)| name.trim() == interface)?;
    columns.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop
    lo:     840      10    0    0    0     0          0         0      840      10    0    0
   v0: 1200      20    0    0    0     0          0         0      0       0    0    0
";

    #[test]
    fn the_packets_of_the_interface_are_read() {
        for (interface, packets) in [("lo", Some(10)), ("v0", Some(20)), ("v", None)] {
            assert_eq!(parse(TABLE, interface), packets, "{interface}");
        }
    }
}
