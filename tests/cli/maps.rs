//! Maps of live programs.
