//! From a case file to single shots: one frame, everything about it decided.

use std::collections::BTreeMap;

use serde_json::Value;

use super::case::{Case, CaseFile, Entry, Expect, How, Known, Setup};
use super::report::Evidence;
use super::{CaseError, Source};
use crate::frame::Frame;
use crate::frame::notation::Names;
use crate::require;

/// The suite's own frames.
const FRAMES: &str = include_str!("frames.toml");

/// One frame of one case.
#[derive(Clone, Debug)]
pub struct Shot {
    /// `file/case`, or `file/case/frame`.
    pub name: String,
    /// The frame.
    pub frame: Frame,
    /// How it is sent.
    pub how: How,
    /// How often.
    pub times: u32,
    /// Global variables to set before loading.
    pub variables: BTreeMap<String, Value>,
    /// Map contents before.
    pub maps: BTreeMap<String, Vec<Entry>>,
    /// What must come of it.
    pub expect: Expect,
    /// Where engines are known to do otherwise: the case's, then the file's.
    pub known: Vec<Known>,
    /// What maps hold is the driver's choice.
    pub maps_vary: bool,
    /// Rows of docs/semantics.md.
    pub rows: Vec<String>,
    /// Engines that are asked; all when empty.
    pub only: Vec<String>,
    /// The only kind of evidence that shows it.
    pub by: Option<Evidence>,
    /// What it needs that is not here.
    pub needs: Option<String>,
    /// The laboratory.
    pub setup: Setup,
}

/// Every shot of a file, in its order.
///
/// # Errors
/// Which case is wrong, and where.
pub fn of(source: &Source, names: &Names) -> Result<Vec<Shot>, CaseError> {
    let common = common_frames();
    let file = &source.file;
    let mut shots: Vec<Shot> = Vec::new();
    for case in &file.cases {
        let failed = |what: String| CaseError {
            file: format!("{}.toml", source.name),
            what: format!("case '{}': {what}", case.name),
        };
        let named_frame = |name: &str| {
            let line = file.frames.get(name).or_else(|| common.get(name)).cloned();
            line.ok_or_else(|| format!("no frame is called '{name}'"))
        };
        let whole = |mut expect: Expect| {
            if let Some(name) = expect.frame.as_deref().and_then(|f| f.strip_prefix('@')) {
                expect.frame = Some(named_frame(name)?);
            }
            Ok(expect)
        };
        let expect = whole(case.expect.clone()).map_err(&failed)?;
        let mut known = Vec::new();
        for mut one in case.known.iter().chain(&file.known).cloned() {
            one.instead = one.instead.map(whole).transpose().map_err(&failed)?;
            known.push(one);
        }
        if let Some(name) = case.except.iter().find(|name| !common.contains_key(*name)) {
            return Err(failed(format!("except: no frame of the suite is called '{name}'")));
        }
        let mut frames: Vec<(Option<String>, String)> = Vec::new();
        for line in case.send.as_slice() {
            match line.strip_prefix('@') {
                Some("all") => frames.extend(
                    common
                        .iter()
                        .filter(|(name, _)| !case.except.contains(name))
                        .map(|(name, line)| (Some(name.clone()), line.clone())),
                ),
                Some(name) => {
                    let line = file.frames.get(name).or_else(|| common.get(name));
                    let line =
                        line.ok_or_else(|| failed(format!("no frame is called '{name}'")))?;
                    frames.push((Some(name.to_owned()), line.clone()));
                }
                None => frames.push((None, line.clone())),
            }
        }
        let several = frames.len() > 1;
        for (index, (name, line)) in frames.into_iter().enumerate() {
            let frame = Frame::parse(&line, names).map_err(|e| failed(format!("{line}: {e}")))?;
            let part = name.unwrap_or_else(|| (index + 1).to_string());
            let name = match several {
                true => format!("{}/{}/{part}", source.name, case.name),
                false => format!("{}/{}", source.name, case.name),
            };
            if shots.iter().any(|shot| shot.name == name) {
                return Err(failed(format!("there are two cases called '{name}'")));
            }
            shots.push(Shot {
                name,
                frame,
                how: case.how,
                times: case.times,
                variables: over(&file.variables, &case.variables),
                maps: over(&file.maps, &case.maps),
                expect: expect.clone(),
                known: known.clone(),
                maps_vary: case.maps_vary,
                rows: case.rows.clone(),
                only: case.only.clone(),
                needs: needs(file, case),
                by: case.by,
                setup: file.lab.clone(),
            });
        }
    }
    Ok(shots)
}

/// What a case needs that is not here.
fn needs(file: &CaseFile, case: &Case) -> Option<String> {
    let release = case.kernel.as_ref().or(file.kernel.as_ref()).filter(|r| !r.is_here());
    let newer = || release.map(|r| format!("Linux {}", String::from(r.clone())));
    let realtime = case.preempt_rt && !require::preempt_rt();
    let realtime = realtime.then(|| "a PREEMPT_RT kernel".to_owned());
    case.needs.clone().or(realtime).or_else(newer)
}

/// The case's words over the file's.
fn over<V: Clone>(file: &BTreeMap<String, V>, case: &BTreeMap<String, V>) -> BTreeMap<String, V> {
    let mut all = file.clone();
    all.extend(case.iter().map(|(name, value)| (name.clone(), value.clone())));
    all
}

/// The suite's frames by name; none only if the file that holds them were broken, which a test
/// excludes.
#[must_use]
pub fn common_frames() -> BTreeMap<String, String> {
    toml::from_str(FRAMES).unwrap_or_default()
}

impl Known {
    /// Whether it speaks of this engine, seen this way.
    #[must_use]
    pub fn concerns(&self, engine: &str, evidence: Evidence) -> bool {
        named(&self.on, engine) && self.evidence.is_none_or(|e| e == evidence)
    }
}

/// Whether an engine is among these words: `tc` and `user` mean both of their hooks.
#[must_use]
pub fn named(words: &[String], engine: &str) -> bool {
    let kind = match engine {
        "tcx" | "clsact" => "tc",
        "af_xdp" | "af_packet" => "user",
        other => other,
    };
    words.iter().any(|word| word == engine || word == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_for_newer_kernels_are_not_run() {
        let text = |file: &str, case: &str| {
            format!(
                "title = 't'\nprogram = 'pass'\n{file}\n[[case]]\nname = 'a'\nsend = '@udp'\n\
                 verdict = 'pass'\n{case}"
            )
        };
        let needs = |file: &str, case: &str| {
            let file: CaseFile = toml::from_str(&text(file, case)).unwrap();
            super::needs(&file, &file.cases[0])
        };
        let future = Some("Linux 999.0".to_owned());
        assert_eq!(needs("", ""), None);
        assert_eq!(needs("kernel = '5.4'", ""), None);
        assert_eq!(needs("kernel = '999.0'", ""), future);
        assert_eq!(needs("", "kernel = '999.0'"), future);
        assert_eq!(needs("kernel = '999.0'", "kernel = '5.4'"), None, "the case's word counts");
        let error = toml::from_str::<CaseFile>(&text("kernel = 'six'", "")).unwrap_err();
        assert!(error.to_string().contains("'six' is no release of Linux"), "{error}");
    }

    #[test]
    fn the_common_frames_are_frames() {
        let frames = common_frames();
        assert!(frames.len() > 25, "{frames:?}");
        for (name, line) in frames {
            let frame = Frame::parse(&line, &Names::lab());
            let bytes = frame.unwrap_or_else(|e| panic!("{name}: {e}")).bytes();
            if let Some(length) = name.strip_prefix("bytes-") {
                assert_eq!(bytes.len().to_string(), length, "{name}");
            }
        }
    }

    #[test]
    fn a_case_with_several_frames_is_several_shots() {
        let text = r#"
            title = "t"
            program = "pass"
            variables = { a = 1, b = 1 }
            [frames]
            mine = "eth far > near"
            [[case]]
            name = "one"
            send = "@mine"
            variables = { b = 2 }
            [[case]]
            name = "some"
            send = ["@mine", "eth near > far", "@arp"]
            [[case]]
            name = "all"
            send = "@all"
            except = ["arp"]
        "#;
        let shots = of(&Source::parse("f", None, text).unwrap(), &Names::lab()).unwrap();
        let names: Vec<&str> = shots.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names[..4], ["f/one", "f/some/mine", "f/some/2", "f/some/arp"]);
        assert_eq!(names.len(), 4 + common_frames().len() - 1);
        assert!(!names.contains(&"f/all/arp"));
        assert_eq!(shots[0].variables["a"], 1);
        assert_eq!(shots[0].variables["b"], 2);
    }

    #[test]
    fn what_is_wrong_names_the_case() {
        for (case, message) in [
            ("name = 'x'\nsend = 'eth far'", "f.toml: case 'x': eth far: column 8: expected '>'"),
            ("name = 'x'\nsend = '@nonesuch'", "f.toml: case 'x': no frame is called 'nonesuch'"),
            ("name = 'x'\nsend = '@all'\nexcept = ['y']", "f.toml: case 'x': except: no frame"),
            ("name = 'x'\nsend = ['@arp', '@arp']", "f.toml: case 'x': there are two cases"),
        ] {
            let text = format!("title = 't'\nprogram = 'pass'\n[[case]]\n{case}");
            let source = Source::parse("f", None, &text).unwrap();
            let error = of(&source, &Names::lab()).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
        let unknown =
            "title = 't'\nprogram = 'p'\n[[case]]\nname = 'x'\nsend = 'y'\nverdikt = 'pass'";
        let error = Source::parse("f", None, unknown).unwrap_err().to_string();
        assert!(error.contains("verdikt"), "{error}");
    }

    #[test]
    fn a_kind_means_both_its_hooks() {
        let words = |w: &str| vec![w.to_owned()];
        assert!(named(&words("tc"), "tcx") && named(&words("tc"), "clsact"));
        assert!(named(&words("tcx"), "tcx") && !named(&words("tcx"), "clsact"));
        assert!(named(&words("user"), "af_xdp") && named(&words("user"), "af_packet"));
        assert!(named(&words("af_xdp"), "af_xdp") && !named(&words("af_xdp"), "af_packet"));
        assert!(!named(&words("native"), "generic"));
        let known = Known {
            on: words("tc"),
            evidence: Some(Evidence::TestRun),
            sometimes: false,
            kernel: None,
            code: String::new(),
            why: String::new(),
            source: String::new(),
            instead: None,
        };
        assert!(known.concerns("tcx", Evidence::TestRun));
        assert!(!known.concerns("tcx", Evidence::RealTraffic));
    }
}
