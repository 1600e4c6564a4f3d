//! Generators: what sends the frames of a [`Profile`](crate::profile::Profile).
//!
//! | generator | how frames are made | use |
//! |---|---|---|
//! | [`Live`] | by a BPF program within the kernel, paced by it | the highest rates, and the most even ones |
//! | [`Sockets`] | by this process, sent by AF_XDP or packet sockets | kernels and drivers that have no live frames |
//! | [`Replay`] | by whoever recorded them | traffic that no profile describes |
//! | [`Generator`] | by two instructions, all the same | what the former is measured against |
//!
//! Each is a [`Traffic`](crate::meter::Traffic), which the meter gives orders to. What a generator
//! counts is what it handed over; whether that arrived is the meter's business.

mod bare;
pub mod live;
pub mod replay;
pub mod schedule;
pub mod sockets;

pub use bare::Generator;
pub use live::{Live, Options};
pub use replay::Replay;
pub use sockets::Sockets;
