//! What a machine does once it has booted, as a shell script.
//!
//! Standard output and standard error of the jobs go to serial ports of their own, so that neither
//! the kernel's messages nor the one within a line of the other disturbs what is read. Lines that
//! start with a token of this run tell where a job starts and how it ended.

use std::ffi::OsStr;
use std::path::Path;

use super::{Job, Netdevsim, image};

/// A shell script.
pub(super) struct Script {
    pub(super) text: String,
}

/// What tells tests that they are in a machine, and what they must not do without.
fn environment(netdevsim: Option<Netdevsim>) -> String {
    let required = match netdevsim {
        None => "veth",
        Some(Netdevsim::Stock) => "veth,netdevsim",
        Some(Netdevsim::Card) => "veth,netdevsim,netdevsim-card",
    };
    format!(
        "export HOIST_REQUIRE={required} NO_COLOR=1 RUST_BACKTRACE=0 RUST_TEST_THREADS=1\n\
         cd /t\n"
    )
}

/// Runs jobs one after the other. `token` starts every line that is not theirs.
pub(super) fn jobs(jobs: &[Job], netdevsim: Option<Netdevsim>, token: &str) -> Script {
    let mut text = environment(netdevsim);
    // The ports carry bytes: no line ends are changed, nothing comes back.
    for port in ["ttyS1", "ttyS2"] {
        text.push_str(&format!("stty -F /dev/{port} raw -echo 115200\n"));
    }
    text.push_str("exec 3>/dev/ttyS1 4>/dev/ttyS2\n");
    text.push_str("mark() { echo \"\n$*\" >&3; echo \"\n$*\" >&4; }\n");
    for (number, job) in jobs.iter().enumerate() {
        text.push_str(&format!("mark {token} start {number}\n"));
        text.push_str(&format!("{} >&3 2>&4 3>&- 4>&- </dev/null\n", command(job)));
        text.push_str(&format!("mark {token} end {number} $?\n"));
    }
    text.push_str(&format!("mark {token} done\n"));
    // Closing waits until all is sent.
    text.push_str("exec 3>&- 4>&-\n");
    Script { text }
}

/// Gives the console to a shell.
pub(super) fn shell(netdevsim: Option<Netdevsim>) -> Script {
    let mut text = environment(netdevsim);
    text.push_str("setsid -c dash -i </dev/ttyS0 >/dev/ttyS0 2>&1\n");
    Script { text }
}

fn command(job: &Job) -> String {
    let program = if job.program.components().count() > 1 {
        image::in_machine(&job.program)
    } else {
        job.program.clone()
    };
    let limit = job.limit.as_secs().max(1).to_string();
    let mut words: Vec<String> = Vec::new();
    // What hangs and does not end when asked to is killed.
    for word in ["timeout", "-k", "5", &limit, "env"] {
        words.push(word.to_owned());
    }
    words.extend(job.env.iter().map(|(name, value)| quoted(format!("{name}={value}"))));
    words.push(quoted(Path::new(&program)));
    words.extend(job.args.iter().map(quoted));
    words.join(" ")
}

/// A word as the shell takes it.
fn quoted(word: impl AsRef<OsStr>) -> String {
    format!("'{}'", word.as_ref().to_string_lossy().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_shell_takes_words_as_they_are() {
        for word in ["plain", "two words", "it's", "$HOME `x` \"y\" \\", ""] {
            let script = format!("printf %s {}", quoted(word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }

    #[test]
    fn files_of_the_host_run_from_their_folder_and_commands_from_the_path() {
        let file = Job::new("x", "/a/engines-0123456789abcdef").arg("--exact").env("A", "1");
        assert_eq!(command(&file), "timeout -k 5 120 env 'A=1' '/t/engines' '--exact'");
        assert_eq!(command(&Job::new("x", "ip").arg("link")), "timeout -k 5 120 env 'ip' 'link'");
    }
}
