//! Fitting a module to a kernel: its types, configuration and symbols, each only when needed.

use std::collections::{BTreeMap, BTreeSet};

use hoist_offload::bpf::module::{ExternKind, Module};
use hoist_offload::bpf::resolve::{self, KernelConfig, Needs, ResolveError, TargetBtf};
use hoist_offload::{Error, Fact, Host};

/// Fits a module to the host's kernel. Without a kernel to load into (`live` is false) whatever the
/// host cannot tell is left open, and shows up as a requirement on which nothing is known.
///
/// # Errors
/// The host could not be asked, or its kernel lacks something the program refers to.
pub(super) fn fit(module: Module, host: &dyn Host, live: bool) -> Result<Module, Error> {
    let needs = Needs::of(&module);
    let mut module = types(module, host, needs, live)?;
    if needs.kernel_config {
        configure(&mut module, host, live)?;
    }
    if needs.symbol_addresses && live {
        let addresses = addresses(&wanted(&module))?;
        resolve::set_symbol_addresses(&mut module, &addresses).map_err(|e| lacks(&module, &e))?;
    }
    Ok(module)
}

fn types(module: Module, host: &dyn Host, needs: Needs, live: bool) -> Result<Module, Error> {
    let target = match needs.kernel_btf {
        false => TargetBtf::none(),
        true => match host.kernel_btf()? {
            Fact::Known { value, .. } => TargetBtf::parse(value).map_err(|error| Error::Input {
                what: format!("the kernel's BTF: {error}"),
                hint: None,
            })?,
            Fact::Unknown { .. } if !live => return Ok(module),
            Fact::Unknown { .. } => TargetBtf::none(),
        },
    };
    resolve::resolve(&module, &target).map_err(|error| lacks(&module, &error))
}

fn configure(module: &mut Module, host: &dyn Host, live: bool) -> Result<(), Error> {
    let text = match host.kernel_config()? {
        Fact::Known { value, .. } => value,
        Fact::Unknown { .. } if !live => return Ok(()),
        Fact::Unknown { .. } => String::new(),
    };
    let release = match host.known()? {
        Some(report) => report.kernel.clone(),
        None => read("/proc/sys/kernel/osrelease")?,
    };
    let config = KernelConfig::parse(&text, release.trim());
    resolve::fill_kconfig(module, &config).map_err(|error| lacks(module, &error))
}

/// Untyped kernel symbols that the module takes the address of.
fn wanted(module: &Module) -> BTreeSet<String> {
    let symbols = module.externs.iter().filter(|e| e.kind == ExternKind::Ksym);
    symbols.map(|e| e.name.clone()).collect()
}

/// Addresses from `/proc/kallsyms`, which shows zeros to those it does not trust.
fn addresses(wanted: &BTreeSet<String>) -> Result<BTreeMap<String, u64>, Error> {
    let text = read("/proc/kallsyms")?;
    let found: BTreeMap<String, u64> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let name = words.nth(1)?.split('\t').next()?;
            wanted.contains(name).then(|| (name.to_owned(), address))
        })
        .collect();
    if found.values().any(|address| *address == 0) {
        return Err(Error::NotPermitted {
            what: "read the addresses of kernel symbols in /proc/kallsyms".to_owned(),
            capability: "CAP_SYSLOG".to_owned(),
            hint: "run it as root, with the sysctl kernel.kptr_restrict at 0 or 1".to_owned(),
        });
    }
    Ok(found)
}

fn read(path: &str) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Host {
        operation: "read",
        object: path.to_owned(),
        source,
    })
}

fn lacks(module: &Module, error: &ResolveError) -> Error {
    Error::Input { what: format!("{}: {error}", module.name), hint: None }
}
