//! Live programs on veth pairs.
