//! What the output of a test binary says of each of its tests.

use std::fmt;

use super::{Done, host};

/// What became of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passed.
    Passed,
    /// It failed; what it printed.
    Failed(String),
    /// It could not run in the machine, for this reason.
    NotRun(String),
    /// It is marked to be ignored.
    Ignored,
}

/// A test within a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inner {
    /// `BINARY::TEST`, or the name of a job that is no test binary.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
}

impl fmt::Display for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.verdict {
            Verdict::Passed => write!(f, "{name} ... ok"),
            Verdict::Failed(_) => write!(f, "{name} ... FAILED"),
            Verdict::NotRun(why) => write!(f, "{name} ... not run: needs {why}"),
            Verdict::Ignored => write!(f, "{name} ... ignored"),
        }
    }
}

/// The result of a job that is one test: it passes with exit status 0.
#[must_use]
pub fn of_command(done: &Done) -> Vec<Inner> {
    let verdict = if done.status == 0 { Verdict::Passed } else { Verdict::Failed(ending(done)) };
    vec![Inner { name: done.name.clone(), verdict }]
}

/// The tests of a job that is a test binary of Rust's, run on one thread.
///
/// A test that says it was not run has not passed, whatever the binary thinks. A binary that ended
/// before its last test has failed in the test that ran.
#[must_use]
pub fn of_tests(done: &Done) -> Vec<Inner> {
    let mut tests = listed(&done.stdout);
    for (name, verdict) in &mut tests {
        if *verdict == Verdict::Failed(String::new()) {
            let said = printed(&done.stdout, name);
            *verdict = Verdict::Failed(said.unwrap_or_else(|| ending(done)));
        }
    }
    for line in done.stderr.lines() {
        let Some((name, why)) = not_run(line) else { continue };
        let verdict = Verdict::NotRun(why.to_owned());
        match tests.iter_mut().find(|(test, _)| test.rsplit("::").next() == Some(name)) {
            Some((_, Verdict::Failed(_))) => {}
            Some(test) => test.1 = verdict,
            // A part of a test that has a name of its own.
            None => tests.push((name.to_owned(), verdict)),
        }
    }
    let failed = tests.iter().any(|(_, verdict)| matches!(verdict, Verdict::Failed(_)));
    let mut inner: Vec<Inner> = tests
        .into_iter()
        .map(|(name, verdict)| Inner { name: format!("{}::{name}", done.name), verdict })
        .collect();
    if (done.status != 0 || count(&done.stdout).is_none()) && !failed {
        let verdict = Verdict::Failed(ending(done));
        inner.push(Inner { name: done.name.clone(), verdict });
    }
    inner
}

/// How a job ended, with the end of what it printed.
fn ending(done: &Done) -> String {
    let how = if done.timed_out {
        format!("ended after {} s, its limit", done.time.as_secs())
    } else {
        format!("exit status {}", done.status)
    };
    let [out, err] = [&done.stdout, &done.stderr].map(|text| host::last_lines(text.trim(), 30));
    [how, out, err].into_iter().filter(|t| !t.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Name of the test and what it needs, in a line `not run: NAME: needs WHAT`.
fn not_run(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once("not run: ")?;
    rest.split_once(": needs ")
}

/// N of `running N tests`.
fn count(stdout: &str) -> Option<usize> {
    let line = stdout.lines().find_map(|l| l.strip_prefix("running "))?;
    line.split(' ').next()?.parse().ok()
}

/// Tests in the order in which they ran. What failed has no output yet.
fn listed(stdout: &str) -> Vec<(String, Verdict)> {
    let mut tests: Vec<(String, Verdict)> = Vec::new();
    // A test whose result stands on a later line, what it wrote past the harness being between.
    let mut open = false;
    for line in stdout.lines().take_while(|line| *line != "failures:") {
        let started = line.strip_prefix("test ").and_then(|l| l.split_once(" ... "));
        let result = match started {
            Some((name, result)) => {
                let name = name.strip_suffix(" - should panic").unwrap_or(name);
                tests.push((name.to_owned(), Verdict::Failed(String::new())));
                open = true;
                result
            }
            None => line,
        };
        let verdict = match result {
            _ if result.ends_with("FAILED") => Verdict::Failed(String::new()),
            _ if result.starts_with("ignored") => Verdict::Ignored,
            _ if result == "ok" || result.ends_with("\u{1b}[32mok") => Verdict::Passed,
            _ if started.is_some() || !result.ends_with("ok") => continue,
            _ => Verdict::Passed,
        };
        if let (true, Some(last)) = (open, tests.last_mut()) {
            last.1 = verdict;
            open = false;
        }
    }
    tests
}

/// What a test that failed printed.
fn printed(stdout: &str, name: &str) -> Option<String> {
    let (_, rest) = stdout.split_once(&format!("---- {name} stdout ----\n"))?;
    let end = rest.find("\n---- ").into_iter().chain(rest.find("\nfailures:\n")).min();
    Some(rest[..end.unwrap_or(rest.len())].trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn done(stdout: &str, stderr: &str, status: i32) -> Done {
        Done {
            name: "b".to_owned(),
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
            status,
            time: Duration::from_secs(3),
            timed_out: false,
        }
    }

    fn shown(done: &Done) -> Vec<String> {
        of_tests(done).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_test_appears_with_what_became_of_it() {
        let out = "\nrunning 6 tests\ntest a::one ... ok\ntest two ... ignored, slow\n\
                   test three - should panic ... ok\ntest four ... FAILED\ntest five ... written past\n\
                   ok\ntest six ... ok\n\nfailures:\n\n---- four stdout ----\nthread panicked\nleft: 1\n\n\n\
                   failures:\n    four\n\ntest result: FAILED. 4 passed; 1 failed\n";
        let err = "not run: one: needs CAP_BPF\nnot run: part of six: needs a wire\n";
        let done = done(out, err, 101);
        assert_eq!(
            shown(&done),
            [
                "b::a::one ... not run: needs CAP_BPF",
                "b::two ... ignored",
                "b::three ... ok",
                "b::four ... FAILED",
                "b::five ... ok",
                "b::six ... ok",
                "b::part of six ... not run: needs a wire",
            ]
        );
        let failed = &of_tests(&done)[3];
        assert_eq!(failed.verdict, Verdict::Failed("thread panicked\nleft: 1".to_owned()));
    }

    #[test]
    fn a_binary_that_dies_fails_in_the_test_that_ran() {
        let done = done("\nrunning 2 tests\ntest one ... ok\ntest two ... ", "corrupted\n", 139);
        let inner = of_tests(&done);
        assert_eq!(inner[0].verdict, Verdict::Passed);
        let Verdict::Failed(why) = &inner[1].verdict else { panic!("{inner:?}") };
        assert!(why.starts_with("exit status 139\n") && why.ends_with("corrupted"), "{why}");
    }

    #[test]
    fn a_binary_that_says_nothing_has_failed() {
        for (stdout, status) in [("", 127), ("", 0), ("\nrunning 1 test\ntest a ... ok\n", 134)] {
            let inner = of_tests(&done(stdout, "sh: not found", status));
            let last = inner.last().unwrap();
            assert!(matches!(&last.verdict, Verdict::Failed(_)) && last.name == "b", "{inner:?}");
        }
    }

    #[test]
    fn a_command_passes_with_status_0() {
        assert_eq!(of_command(&done("x", "", 0))[0].verdict, Verdict::Passed);
        let failed = of_command(&done("out", "err", 2));
        assert_eq!(failed[0].verdict, Verdict::Failed("exit status 2\nout\nerr".to_owned()));
    }
}
