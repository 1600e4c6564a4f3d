//! The machine, the kernel and the devices, as they are while something is measured.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hoist_bpf::kernel::Kernel;
use hoist_offload::Device;
use hoist_offload::adjust::THREADED_NAPI;
use hoist_offload::fact::Fact;
use rustix::time::{ClockId, clock_getres};

use crate::meter::machine::Tsc;
use crate::report::Environment;

/// Captures what does not depend on an interface. What this kernel or this machine does not say is
/// left out. `started` is the start as RFC 3339 writes it.
#[must_use]
pub fn capture(started: String, command: Vec<String>) -> Environment {
    Environment {
        hoist: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        kernel: text("/proc/sys/kernel/osrelease").unwrap_or_default(),
        machine: machine(Path::new("/")),
        devices: BTreeMap::new(),
        command,
    }
}

/// Everything about the machine by name, read below `root`.
fn machine(root: &Path) -> BTreeMap<String, String> {
    let read = |path: &str| text(root.join(path));
    let cpuinfo = read("proc/cpuinfo").unwrap_or_default();
    let flags = cpu(&cpuinfo, "flags").unwrap_or_default();
    let version = read("proc/version");
    let mut facts = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|v| !v.is_empty()) {
            facts.insert(name.to_owned(), value);
        }
    };
    put("architecture", Some(std::env::consts::ARCH.to_owned()));
    put("cpu", cpu(&cpuinfo, "model name"));
    put("cpu_mhz", cpu(&cpuinfo, "cpu MHz"));
    put("microcode", cpu(&cpuinfo, "microcode"));
    put("cpus", read("sys/devices/system/cpu/online"));
    put("cpus_isolated", read("sys/devices/system/cpu/isolated"));
    put("cpus_nohz_full", read("sys/devices/system/cpu/nohz_full"));
    put("numa_nodes", read("sys/devices/system/node/online"));
    put("smt", read("sys/devices/system/cpu/smt/control"));
    put("governor", read("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
    put("turbo_off", read("sys/devices/system/cpu/intel_pstate/no_turbo"));
    put("clocksource", read("sys/devices/system/clocksource/clocksource0/current_clocksource"));
    let named = ["constant_tsc", "nonstop_tsc"];
    let tsc = named.iter().filter(|flag| flags.split(' ').any(|f| f == **flag));
    put("tsc", Some(tsc.copied().collect::<Vec<_>>().join(" ")));
    let rate = Tsc::here();
    put("tsc_hz", rate.as_ref().map(|tsc| format!("{:.0}", tsc.hz)));
    put("tsc_known_by", rate.map(|tsc| tsc.known_by));
    put("hypervisor", hypervisor(root, &flags));
    put("memory", meminfo(&read("proc/meminfo").unwrap_or_default()));
    put("hugepages", read("sys/kernel/mm/transparent_hugepage/enabled").and_then(|t| chosen(&t)));
    put("kernel_version", version.clone());
    put("kernel_command_line", read("proc/cmdline"));
    put("preempt", preempt(root, version.as_deref().unwrap_or_default()));
    put("hz", ticks());
    put("bpf_jit", read("proc/sys/net/core/bpf_jit_enable"));
    put("bpf_jit_harden", read("proc/sys/net/core/bpf_jit_harden"));
    put("bpf_jit_kallsyms", read("proc/sys/net/core/bpf_jit_kallsyms"));
    put("bpf_stats", read("proc/sys/kernel/bpf_stats_enabled"));
    put("netdev_budget", read("proc/sys/net/core/netdev_budget"));
    put("dev_weight", read("proc/sys/net/core/dev_weight"));
    put("sched_rt_runtime_us", read("proc/sys/kernel/sched_rt_runtime_us"));
    put("load_average", read("proc/loadavg"));
    put("mitigations", mitigations(&root.join("sys/devices/system/cpu/vulnerabilities")));
    facts
}

/// What is in force on an interface of the calling thread's network namespace.
#[must_use]
pub fn device(device: &Device, kernel: &dyn Kernel) -> BTreeMap<String, String> {
    let mut facts = BTreeMap::new();
    if let Ok(threaded) = kernel.threaded_napi(&device.name) {
        let word = if threaded { "on" } else { "off" };
        facts.insert(THREADED_NAPI.to_owned(), word.to_owned());
    }
    let mut put = |name: &str, value: String| {
        if !value.is_empty() {
            facts.insert(name.to_owned(), value);
        }
    };
    put("driver", device.driver.value().cloned().unwrap_or_default());
    put("kind", device.kind.clone().unwrap_or_default());
    put("firmware", device.firmware.clone().unwrap_or_default());
    put("bus", device.bus.clone().unwrap_or_default());
    if let Some(pci) = &device.pci {
        let names = [&pci.vendor_name, &pci.device_name].map(|n| n.clone().unwrap_or_default());
        let [vendor, name] = names;
        put(
            "pci",
            format!("{:04x}:{:04x} {vendor} {name}", pci.vendor, pci.device).trim().to_owned(),
        );
    }
    put("mtu_bytes", device.mtu_bytes.to_string());
    put("state", device.operstate.clone());
    put("speed_mbps", shown(&device.speed_mbps));
    put("rx_queues", device.rx_queues.to_string());
    put("tx_queues", device.tx_queues.to_string());
    if let Some(channels) = device.channels.value() {
        let text = format!("rx {} tx {} combined {}", channels.rx, channels.tx, channels.combined);
        put("channels", text);
    }
    if let Some(rings) = device.rings.value() {
        put("rings", format!("rx {} tx {}", rings.rx, rings.tx));
    }
    for (feature, toggle) in device.features.value().into_iter().flatten() {
        put(feature, if toggle.on { "on" } else { "off" }.to_owned());
    }
    let attached = device.attached.iter().map(|a| format!("{:?}", a.slot).to_lowercase());
    put("attached", attached.collect::<Vec<_>>().join(" "));
    facts
}

fn shown<T: ToString>(fact: &Fact<T>) -> String {
    fact.value().map(ToString::to_string).unwrap_or_default()
}

fn text(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The first value of a key in `/proc/cpuinfo`.
fn cpu(cpuinfo: &str, key: &str) -> Option<String> {
    let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let mut found = lines.filter(|(name, _)| name.trim() == key);
    found.next().map(|(_, value)| value.trim().to_owned())
}

fn meminfo(meminfo: &str) -> Option<String> {
    cpu(meminfo, "MemTotal")
}

/// The word in brackets of a sysfs file that lists choices.
fn chosen(choices: &str) -> Option<String> {
    let (_, rest) = choices.split_once('[')?;
    rest.split_once(']').map(|(word, _)| word.to_owned())
}

/// The kernel's preemption model: what was chosen at boot, where debugfs tells, else what it was built
/// with.
fn preempt(root: &Path, version: &str) -> Option<String> {
    let chosen_now = text(root.join("sys/kernel/debug/sched/preempt"))
        .and_then(|t| t.split_once('(')?.1.split_once(')').map(|(word, _)| word.to_owned()));
    let built = version.split([' ', '(', ')']).find(|word| word.starts_with("PREEMPT"));
    match (built, chosen_now) {
        (Some(built), Some(now)) => Some(format!("{built} ({now})")),
        (Some(built), None) => Some(built.to_owned()),
        (None, now) => now,
    }
}

/// Ticks per second: the coarse clocks advance by one tick.
fn ticks() -> Option<String> {
    let tick = clock_getres(ClockId::RealtimeCoarse);
    (tick.tv_nsec > 0).then(|| (1_000_000_000 / tick.tv_nsec).to_string())
}

fn hypervisor(root: &Path, flags: &str) -> Option<String> {
    if !flags.split(' ').any(|flag| flag == "hypervisor") {
        return Some("none".to_owned());
    }
    let known = ["sys/hypervisor/type", "sys/class/dmi/id/sys_vendor"];
    let name = known.iter().find_map(|path| text(root.join(path)));
    Some(name.unwrap_or_else(|| "unknown".to_owned()))
}

/// `name: state` of everything that the processor is vulnerable to.
fn mitigations(folder: &Path) -> Option<String> {
    let mut all: Vec<String> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let state = text(entry.path()).filter(|state| state != "Not affected")?;
            Some(format!("{}: {state}", entry.file_name().to_string_lossy()))
        })
        .collect();
    all.sort();
    Some(all.join("; "))
}
