//! From what was asked for to procedures.

use std::str::FromStr;

use clap::ValueEnum;
use hoist_benches::report::Goal;
use hoist_benches::search::{
    BackToBack, FrameLoss, Latency, Maximum, Mlr, Procedure, Soak, Throughput,
};

/// What is searched for, as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sought {
    /// The rate at full speed
    Maximum,
    /// The largest load without loss, by many short trials (RFC 9971)
    Ndr,
    /// The largest load that loses half a percent at most (RFC 9971)
    Pdr,
    /// The largest load of which nothing is lost (RFC 2544 section 26.1)
    Throughput,
    /// Latency at the throughput (RFC 2544 section 26.2)
    Latency,
    /// How loss grows with load (RFC 2544 section 26.3)
    Loss,
    /// The longest burst without loss (RFC 2544 section 26.4, RFC 9004)
    BackToBack,
    /// throughput, latency, loss and back-to-back
    Rfc2544,
}

/// A goal of one's own: `loss=0.1%,sum=5,trial=0.25,exceed=0.5,width=0.5%`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnGoal(pub(crate) Goal);

impl FromStr for OwnGoal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut goal = Goal { name: text.to_owned(), ..Goal::ndr() };
        for part in text.split(',') {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("'{part}' is not KEY=VALUE, for example loss=0.1%"))?;
            let number = |most: f64| {
                let (digits, unit) = match value.strip_suffix('%') {
                    Some(digits) => (digits, 100.0),
                    None => (value.trim_end_matches('s'), 1.0),
                };
                let number = digits.trim().parse::<f64>().ok().map(|number| number / unit);
                number.filter(|n| n.is_finite() && *n >= 0.0 && *n <= most).ok_or_else(|| {
                    format!("'{value}' is no value for {key}: a number up to {most}, or so many %")
                })
            };
            match key.trim() {
                "name" => value.clone_into(&mut goal.name),
                "loss" => goal.loss_ratio = number(1.0)?,
                "exceed" => goal.exceed_ratio = number(0.999)?,
                "width" => goal.width = number(0.5)?.max(1e-4),
                "sum" => goal.duration_sum = number(86_400.0)?,
                "trial" => {
                    let seconds = number(3600.0)?.max(0.01);
                    goal.final_trial_seconds = seconds;
                    goal.initial_trial_seconds = seconds;
                }
                other => {
                    let known = "loss, exceed, width, sum, trial, name";
                    return Err(format!("a goal has no '{other}'; there are {known}"));
                }
            }
        }
        Ok(Self(goal))
    }
}

/// Bounds of what is searched.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wishes {
    /// Frames per second that are sent, or that a search never exceeds.
    pub(crate) rate: Option<f64>,
    /// How long a trial sends, where somebody says.
    pub(crate) seconds: Option<f64>,
    /// What is searched for.
    pub(crate) sought: Vec<Sought>,
    /// Goals of RFC 9971 besides.
    pub(crate) goals: Vec<Goal>,
}

/// Length of a trial that searches nothing, in seconds, unless somebody says.
const TRIAL: f64 = 0.5;

/// The procedures, in order, each once.
pub(crate) fn procedures(wishes: &Wishes) -> Vec<Procedure> {
    let Wishes { rate: max_load, seconds, sought, goals: own } = wishes.clone();
    if sought.is_empty() && own.is_empty() {
        let seconds = seconds.unwrap_or(TRIAL);
        return vec![match max_load {
            Some(load) => Procedure::Soak(Soak { load, seconds }),
            None => Procedure::Maximum(Maximum { seconds }),
        }];
    }
    let throughput = match seconds {
        Some(seconds) => {
            Throughput { max_load, seconds, final_seconds: seconds, ..Throughput::default() }
        }
        None => Throughput { max_load, ..Throughput::default() },
    };
    let mut all: Vec<Procedure> = Vec::new();
    let mut goals: Vec<Goal> = Vec::new();
    let mut add = |procedure: Procedure| {
        if !all.contains(&procedure) {
            all.push(procedure);
        }
    };
    for word in sought {
        let whole = word == Sought::Rfc2544;
        if word == Sought::Maximum {
            add(Procedure::Maximum(Maximum { seconds: seconds.unwrap_or(TRIAL) }));
        }
        match word {
            Sought::Ndr => goals.push(Goal::ndr()),
            Sought::Pdr => goals.push(Goal::pdr()),
            _ => {}
        }
        if whole || word == Sought::Throughput {
            add(Procedure::Throughput(throughput));
        }
        if whole || word == Sought::Latency {
            let latency = Latency { throughput, ..Latency::default() };
            let seconds = seconds.unwrap_or(latency.seconds);
            add(Procedure::Latency(Latency { seconds, ..latency }));
        }
        if whole || word == Sought::Loss {
            let loss = FrameLoss { max_load, ..FrameLoss::default() };
            let seconds = seconds.unwrap_or(loss.seconds);
            add(Procedure::FrameLoss(FrameLoss { seconds, ..loss }));
        }
        if whole || word == Sought::BackToBack {
            let search = throughput;
            add(Procedure::BackToBack(BackToBack { search, ..BackToBack::default() }));
        }
    }
    goals.dedup_by(|a, b| a.name == b.name);
    for goal in &mut goals {
        if let Some(seconds) = seconds {
            goal.duration_sum *= seconds / goal.final_trial_seconds;
            goal.final_trial_seconds = seconds;
            goal.initial_trial_seconds = seconds;
        }
    }
    goals.extend(own);
    if !goals.is_empty() {
        all.push(Procedure::Mlr(Mlr { goals, max_load, ..Mlr::default() }));
    }
    all
}

/// How often each is carried out unless somebody says. RFC 2544's repeat their trials themselves.
pub(crate) fn repeats(wishes: &Wishes) -> usize {
    let short = [Sought::Maximum, Sought::Ndr, Sought::Pdr];
    if wishes.sought.iter().all(|word| short.contains(word)) { 5 } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_procedures_each_once() {
        use Sought::{Latency, Maximum, Ndr, Pdr, Rfc2544, Throughput};
        let names = |rate, sought: &[Sought]| -> Vec<&'static str> {
            let wishes = Wishes { rate, sought: sought.to_vec(), ..Wishes::default() };
            let name = |procedure: &Procedure| match procedure {
                Procedure::Maximum(_) => "maximum",
                Procedure::Soak(_) => "soak",
                Procedure::Throughput(_) => "throughput",
                Procedure::Latency(_) => "latency",
                Procedure::FrameLoss(_) => "loss",
                Procedure::BackToBack(_) => "back-to-back",
                Procedure::Mlr(mlr) if mlr.goals.len() == 2 => "mlr of two",
                Procedure::Mlr(_) => "mlr of one",
            };
            procedures(&wishes).iter().map(name).collect()
        };
        assert_eq!(names(None, &[]), ["maximum"]);
        assert_eq!(names(Some(1e6), &[]), ["soak"]);
        assert_eq!(names(None, &[Ndr, Pdr]), ["mlr of two"]);
        assert_eq!(names(Some(1e6), &[Pdr, Maximum]), ["maximum", "mlr of one"]);
        let all = ["throughput", "latency", "loss", "back-to-back"];
        assert_eq!(names(None, &[Throughput, Rfc2544, Latency]), all);
    }

    #[test]
    fn goals_are_read_with_their_units() {
        let OwnGoal(goal) =
            "name=mine,loss=0.1%,sum=5s,trial=0.5,exceed=25%,width=1%".parse().unwrap();
        assert_eq!((&*goal.name, goal.loss_ratio, goal.duration_sum), ("mine", 0.001, 5.0));
        assert_eq!((goal.final_trial_seconds, goal.exceed_ratio, goal.width), (0.5, 0.25, 0.01));
        for wrong in ["loss", "loss=-1", "loss=2", "loss=x", "los=1%", "exceed=1", "loss=nan"] {
            assert!(wrong.parse::<OwnGoal>().is_err(), "{wrong}");
        }
    }
}
