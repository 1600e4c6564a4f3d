//! How fast: packet generator and meter.
