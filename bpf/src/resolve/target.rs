//! The kernel a module is fitted to.

use crate::btf::{Btf, BtfError};

/// BTF of the kernel that will run the module, or the knowledge that there is none.
#[derive(Clone, Debug)]
pub struct TargetBtf {
    btf: Option<Btf>,
}

impl TargetBtf {
    /// Reads raw vmlinux BTF.
    ///
    /// # Errors
    /// Which part is damaged.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        Ok(Self { btf: Some(Btf::from_vec(bytes)?) })
    }

    /// A kernel without BTF, or one that need not be asked.
    #[must_use]
    pub const fn none() -> Self {
        Self { btf: None }
    }

    /// The kernel's types.
    #[must_use]
    pub const fn btf(&self) -> Option<&Btf> {
        self.btf.as_ref()
    }
}
