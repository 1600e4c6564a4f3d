//! The TC engine: XDP programs at TC ingress, translated.

pub mod translate;
