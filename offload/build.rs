//! Writes the names of PCI vendors and devices as sorted lines. Tables of strings would hold a pointer
//! to each, which the dynamic linker has to adjust every time the program starts: a millisecond for
//! names that most runs never ask for.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "linux")]
    {
        let file = std::path::Path::new(&std::env::var("OUT_DIR")?).join("pci-names");
        std::fs::write(file, names())?;
    }
    Ok(())
}

#[cfg(feature = "linux")]
fn names() -> String {
    let mut lines = Vec::new();
    for vendor in pci_ids::Vendors::iter() {
        lines.push(format!("{:04x} {}\n", vendor.id(), vendor.name()));
        lines.extend(
            vendor.devices().map(|d| format!("{:04x}:{:04x} {}\n", vendor.id(), d.id(), d.name())),
        );
    }
    lines.sort();
    lines.concat()
}
