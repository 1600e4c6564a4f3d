//! The procedures of RFC 2544 section 26, as RFC 9004 and RFC 8219 made them precise.

mod back_to_back;
mod frame_loss;
mod latency;
mod throughput;

pub use back_to_back::BackToBack;
pub use frame_loss::FrameLoss;
pub use latency::Latency;
pub use throughput::Throughput;
