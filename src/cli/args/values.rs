//! Values on the command line that have a form of their own.

use std::str::FromStr;
use std::time::Duration;

use hoist_fallback::userspace::ports::faults::Faults;
use hoist_offload::plan::{Choice, Wanted};

/// `VAR=VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The variable.
    pub name: String,
    /// The value as written.
    pub value: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Self { name: name.trim().to_owned(), value: value.to_owned() })
            }
            _ => Err("expected VAR=VALUE, for example threshold=10".to_owned()),
        }
    }
}

/// `MAP=N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entries {
    /// The map.
    pub map: String,
    /// Its entries.
    pub entries: u32,
}

impl FromStr for Entries {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "expected MAP=N, for example flows=4096".to_owned();
        let (map, entries) = text.split_once('=').ok_or_else(wrong)?;
        let number: u128 = entries.parse().map_err(|_| wrong())?;
        let most = u32::MAX;
        let entries = u32::try_from(number).ok().filter(|entries| *entries > 0);
        let entries = entries.ok_or_else(|| format!("a map has 1 to {most} entries"))?;
        Ok(Self { map: map.to_owned(), entries })
    }
}

/// `lose=1%,corrupt=0.1%`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FaultList(pub Faults);

impl FromStr for FaultList {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let mut faults = Faults::default();
        for word in s.split(',') {
            let (name, share) = word
                .split_once('=')
                .ok_or_else(|| format!("'{word}' is not FAULT=SHARE, for example lose=1%"))?;
            let number = share.strip_suffix('%').unwrap_or(share).trim();
            let percent = number.parse::<f64>().ok().filter(|p| (0.0..=100.0).contains(p));
            let percent =
                percent.ok_or_else(|| format!("'{share}' is no share from 0% to 100%"))?;
            // Of a million.
            let chance = (percent * 10_000.0).round() as u32;
            match name.trim() {
                "lose" => faults.lose = chance,
                "corrupt" => faults.corrupt = chance,
                "truncate" => faults.truncate = chance,
                "duplicate" => faults.duplicate = chance,
                "delay" => faults.delay = chance,
                other => {
                    let known = "lose, corrupt, truncate, duplicate, delay";
                    return Err(format!("there is no fault '{other}'; there are {known}"));
                }
            }
        }
        Ok(Self(faults))
    }
}

/// `auto`, or engines in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EngineList {
    /// The words as given, for messages.
    pub words: Vec<String>,
    /// What they mean.
    pub choice: Choice,
}

/// Words that leave the choice to the plan: ours, bpftool's and xdp-loader's.
const AUTO: [&str; 3] = ["auto", "xdp", "unspecified"];

/// Every word that names an engine.
const ENGINE_WORDS: [&str; 21] = [
    "auto",
    "xdp",
    "hw",
    "native",
    "generic",
    "tc",
    "user",
    "offload",
    "xdpoffload",
    "drv",
    "driver",
    "xdpdrv",
    "skb",
    "xdpgeneric",
    "tcx",
    "clsact",
    "userspace",
    "vm",
    "af_xdp",
    "af_packet",
    "unspecified",
];

impl FromStr for EngineList {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let words: Vec<String> = s.split(',').map(|w| w.trim().to_owned()).collect();
        if matches!(words.as_slice(), [one] if AUTO.contains(&one.as_str())) {
            return Ok(Self { words, choice: Choice::Auto });
        }
        let mut listed: Vec<Wanted> = Vec::new();
        for word in &words {
            let wanted = word.parse().map_err(|_| unknown_engine(word))?;
            if !listed.contains(&wanted) {
                listed.push(wanted);
            }
        }
        Ok(Self { words, choice: Choice::Listed(listed) })
    }
}

fn unknown_engine(word: &str) -> String {
    let hint = match crate::suggest::closest(word, ENGINE_WORDS) {
        Some(near) => format!("did you mean '{near}'?"),
        None => "engines are hw, native, generic, tc, user, or auto".to_owned(),
    };
    match word {
        _ if AUTO.contains(&word) => format!("'{word}' stands alone, not in a list"),
        "" => "an engine's name is missing".to_owned(),
        _ => format!("no engine is called '{word}'; {hint}"),
    }
}

/// A length of time: `10`, `10s`, `500ms`, `2m`. A bare number is in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval(pub Duration);

impl FromStr for Interval {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let digits = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
        let (number, unit) = s.split_at(digits);
        let bad = || format!("'{s}' is no length of time; write 10s, 500ms or 2m");
        let number: f64 = number.parse().map_err(|_| bad())?;
        let seconds = match unit.trim() {
            "" | "s" => number,
            "ms" => number / 1000.0,
            "m" | "min" => number * 60.0,
            "h" => number * 3600.0,
            _ => return Err(bad()),
        };
        let duration = Duration::try_from_secs_f64(seconds).map_err(|_| bad())?;
        if duration < Duration::from_millis(1) || duration > Duration::from_secs(366 * 86_400) {
            return Err(format!("'{s}' is out of range: 1ms to a year"));
        }
        Ok(Self(duration))
    }
}

/// Packets per second: `40000`, `250k`, `1.5M`, `0.1G`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate(pub f64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let digits = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
        let (number, unit) = s.split_at(digits);
        let bad = || format!("'{s}' is no rate; write 40000, 250k or 1.5M packets per second");
        let number: f64 = number.parse().map_err(|_| bad())?;
        let unit = match unit.trim().trim_end_matches("pps") {
            "" => 1.0,
            "k" | "K" => 1e3,
            "m" | "M" => 1e6,
            "g" | "G" => 1e9,
            _ => return Err(bad()),
        };
        let rate = number * unit;
        if (1.0..=1e10).contains(&rate) { Ok(Self(rate)) } else { Err(bad()) }
    }
}

/// A hardware address: `02:00:00:00:00:01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bytes: Option<Vec<u8>> =
            s.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
        let bytes = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| format!("'{s}' is no hardware address"))
    }
}

/// A part of a whole: `5%`, `0.05`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Share(pub f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (number, unit) = s.strip_suffix('%').map_or((s, 1.0), |number| (number, 100.0));
        let share = number.trim().parse::<f64>().ok().map(|number| number / unit);
        let share = share.filter(|share| (0.0..=1.0).contains(share));
        share.map(Self).ok_or_else(|| format!("'{s}' is no share; write 5% or 0.05"))
    }
}

/// A link's speed in Gbit/s: `100G`, `2.5G`, `800M`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Speed(pub f64);

impl FromStr for Speed {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let bad = || format!("'{s}' is no speed; write 10G, 2.5G or 800M");
        let digits = s.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(s.len());
        let (number, unit) = s.split_at(digits);
        let number: f64 = number.parse().map_err(|_| bad())?;
        let unit = match unit.trim().to_ascii_lowercase().trim_end_matches("bit/s") {
            "" | "g" => 1.0,
            "m" => 1e-3,
            "t" => 1e3,
            _ => return Err(bad()),
        };
        let speed = number * unit;
        if (0.001..=100_000.0).contains(&speed) { Ok(Self(speed)) } else { Err(bad()) }
    }
}

/// `run` or `drop`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Merged {
    /// Run the program on the merged frame
    Run,
    /// Drop the frame and count it
    Drop,
}

impl From<Merged> for hoist_offload::engine::Merged {
    fn from(merged: Merged) -> Self {
        match merged {
            Merged::Run => Self::Run,
            Merged::Drop => Self::Drop,
        }
    }
}
