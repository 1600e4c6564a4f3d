//! hoist runs one unmodified XDP program on the best engine an interface offers, and says why.

pub use hoist_offload as offload;
