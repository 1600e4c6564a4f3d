//! What needs nobody's help: the generic engine.
