//! What of the machine decides how figures are to be read.

use std::fs;

/// Rate of the time stamp counter, and how it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Tsc {
    /// In ticks per second.
    pub hz: f64,
    /// In words.
    pub known_by: String,
}

impl Tsc {
    /// Of this machine; `None` where it has none that runs at one rate, or nobody says at which.
    #[must_use]
    pub fn here() -> Option<Self> {
        tsc(&fs::read_to_string("/proc/cpuinfo").ok()?)
    }
}

/// Where the kernel cannot tell at which frequency a processor runs (no APERF and MPERF, as in virtual
/// machines), `cpu MHz` is its own calibration of the counter. Elsewhere that line changes with the
/// load, and the processor's name may say the rate.
fn tsc(cpuinfo: &str) -> Option<Tsc> {
    let value = |name: &str| {
        let mut lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    };
    let flags = value("flags")?;
    let has = |flag: &str| flags.split_whitespace().any(|f| f == flag);
    if !has("constant_tsc") {
        return None;
    }
    if !has("aperfmperf") {
        let hz = value("cpu MHz")?.parse::<f64>().ok()? * 1e6;
        let known_by = "/proc/cpuinfo, cpu MHz: the kernel's calibration of the TSC".to_owned();
        return Some(Tsc { hz, known_by });
    }
    let (_, rate) = value("model name")?.rsplit_once('@')?;
    let hz = rate.trim().strip_suffix("GHz")?.trim().parse::<f64>().ok()? * 1e9;
    let known_by = "/proc/cpuinfo, model name: the nominal rate, to three digits".to_owned();
    Some(Tsc { hz, known_by })
}

/// Whether the kernel times every run of a BPF program (`kernel.bpf_stats_enabled`), which costs each
/// some 60 ns. Another process may also have switched that on by `BPF_ENABLE_STATS`, which the
/// kernel tells nobody.
#[must_use]
pub fn bpf_stats() -> bool {
    fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").is_ok_and(|text| text.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_the_counter_is_told_only_where_it_is_known() {
        for (flags, model, mhz, hz) in [
            ("fpu constant_tsc", "EPYC", "2299.998", Some(2_299_998_000.0)),
            ("fpu", "EPYC", "2299.998", None),
            ("constant_tsc aperfmperf", "Xeon @ 2.60GHz", "3100.1", Some(2.6e9)),
            ("constant_tsc aperfmperf", "EPYC 7763", "3100.1", None),
        ] {
            let text = format!("flags\t\t: {flags}\nmodel name\t: {model}\ncpu MHz\t\t: {mhz}\n");
            assert_eq!(tsc(&text).map(|tsc| tsc.hz), hz, "{flags} {model}");
        }
    }
}
