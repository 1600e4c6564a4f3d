//! What an XDP program **is and needs**.
//!
//! Reading an object file is pure: the same bytes give the same [`Module`] on every machine, with no
//! privilege and no kernel. Three steps lead from a file to something a kernel can load:
//!
//! ```text
//!  ELF bytes --Module::parse--> Module --resolve(TargetBtf)--> Module --Image::build--> Image
//!              (symbolic)                (CO-RE applied)                 (flat, loadable)
//! ```
//!
//! Passes (counting, and later translation and lowering) are functions from [`Module`] to
//! [`Module`]; they work on the intermediate form of [`module`], where jumps, calls and maps are
//! references, so that instructions can be inserted and removed freely.
//!
//! The [`kernel`] module is the one door through which anything in hoist changes the state of the
//! running system.

pub mod analysis;
pub mod btf;
pub mod disasm;
mod elf;
pub mod image;
pub mod insn;
pub mod kernel;
pub mod module;
pub mod names;
pub mod opcode;
pub mod parse;
pub mod passes;
pub mod programs;
pub mod requirements;
pub mod resolve;

pub use insn::Insn;
pub use module::Module;
pub use parse::Selector;
pub use requirements::Requirements;
