//! The running kernel, as far as modules are fitted to it.

use std::collections::BTreeMap;
use std::process::Command;

use hoist_bpf::module::Module;
use hoist_bpf::resolve::{self, KernelConfig, Needs, TargetBtf};

/// What the running kernel knows.
pub(crate) struct Running {
    btf: TargetBtf,
    config: KernelConfig,
    symbols: BTreeMap<String, u64>,
}

impl Running {
    pub(crate) fn read() -> Self {
        let read = |path: &str| std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let text = |bytes| String::from_utf8(bytes).expect("the kernel writes ASCII");
        let btf = TargetBtf::parse(read("/sys/kernel/btf/vmlinux")).expect("vmlinux BTF");
        let config = Command::new("zcat").arg("/proc/config.gz").output().expect("zcat").stdout;
        let release = text(read("/proc/sys/kernel/osrelease"));
        let config = KernelConfig::parse(&text(config), &release);
        let mut symbols = BTreeMap::new();
        for line in text(read("/proc/kallsyms")).lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(address), Some(_), Some(name)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let address = u64::from_str_radix(address, 16).expect("an address");
            symbols.entry(name.to_owned()).or_insert(address);
        }
        Self { btf, config, symbols }
    }

    /// Applies what only this kernel can tell.
    pub(crate) fn fit(&self, module: &Module) -> Module {
        fn fail<T>(error: resolve::ResolveError) -> T {
            panic!("{error}")
        }
        let needs = Needs::of(module);
        let none = TargetBtf::none();
        let target = if needs.kernel_btf { &self.btf } else { &none };
        let mut fitted = resolve::resolve(module, target).unwrap_or_else(fail);
        if needs.kernel_config {
            resolve::fill_kconfig(&mut fitted, &self.config).unwrap_or_else(fail);
        }
        if needs.symbol_addresses {
            resolve::set_symbol_addresses(&mut fitted, &self.symbols).unwrap_or_else(fail);
        }
        fitted
    }
}

/// Whether the test may create maps and load BTF (`CAP_BPF`, bit 39); says so where it may not.
pub(crate) fn privileged(test: &str) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    let privileged =
        mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok()).is_some_and(|m| m >> 39 & 1 == 1);
    if !privileged {
        let required = std::env::var("HOIST_REQUIRE").is_ok_and(|r| r.contains("veth"));
        assert!(!required, "CAP_BPF is required and missing");
        println!("not run: {test}: needs CAP_BPF");
    }
    privileged
}
