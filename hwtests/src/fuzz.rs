//! Differential fuzzing: random programs on random frames, the native form against another form.
//!
//! Which verdict a random program gives does not matter; that every form of it gives the same one
//! does, with the same bytes in the frame and the same contents in the maps. A program is made as a
//! [`model::Model`], a small structured program that the verifier takes; [`render`] turns it into a
//! module of the intermediate form; [`campaign`] runs both forms of it by `BPF_PROG_TEST_RUN` and
//! compares. A difference is [`shrink`]ed on the model and [`save`]d as a case.
//!
//! ```text
//!  seed -> generate::model -> render::module --.-> native form ----.
//!                                              '-> a pass over it --+-> run -> compare -> shrink -> save
//!  seed -> frames ------------------------------------------------'
//! ```

pub mod bench;
mod books;
mod btf;
pub mod campaign;
pub mod compare;
pub mod coverage;
pub mod forms;
pub mod frames;
pub mod generate;
pub mod lowered;
pub mod machine;
pub mod model;
pub mod objects;
mod random;
pub mod render;
pub mod run;
pub mod save;
pub mod shrink;

pub use random::Random;
