//! What is right: a laboratory of network namespaces and veth pairs, frames and captures.
