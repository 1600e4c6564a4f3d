//! The side of whoever asks.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use hoist_fallback::userspace::control::Door;
use hoist_offload::Error;
use hoist_offload::attach::{MapDef, MapOps};
use hoist_offload::bpf::kernel::{Entries, KernelError};

use super::{About, Answer, Question};

/// A program of the user engine in another process.
#[derive(Clone, Debug)]
pub struct Run {
    /// The process.
    pub pid: u32,
    /// Index of its interface.
    pub ifindex: u32,
    /// What it says of itself.
    pub about: About,
    line: Arc<Mutex<UnixStream>>,
}

/// Every run of this user, or for root of anybody, in the network namespace that the calling thread is
/// in. Those that end meanwhile are left out.
#[must_use]
pub fn runs() -> Vec<Run> {
    let doors = Door::all().unwrap_or_default();
    doors.into_iter().filter_map(|door| Run::of(&door)).collect()
}

impl Run {
    fn of(door: &Door) -> Option<Self> {
        let line = Arc::new(Mutex::new(door.enter().ok()?));
        match ask(&line, &Question::About) {
            Ok(Answer::About(about)) => {
                Some(Self { pid: door.pid, ifindex: door.ifindex, about: *about, line })
            }
            _ => None,
        }
    }

    /// The BTF that types its maps.
    ///
    /// # Errors
    /// It has gone.
    pub fn types(&self) -> Result<Vec<u8>, Error> {
        match self.ask(&Question::Types)? {
            Answer::Types(types) => Ok(types),
            other => Err(self.wrong(&other)),
        }
    }

    /// One of its maps.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<RemoteMap> {
        let def = self.about.maps.iter().find(|def| def.name == name)?;
        Some(RemoteMap { run: self.clone(), def: def.clone() })
    }

    fn ask(&self, question: &Question) -> Result<Answer, Error> {
        ask(&self.line, question).map_err(|source| Error::Host {
            operation: "ask",
            object: format!("process {} about {}", self.pid, self.about.program),
            source,
        })
    }

    fn wrong(&self, answer: &Answer) -> Error {
        match answer {
            Answer::Failed { what, hint, errno: Some(errno) } => Error::Kernel {
                error: KernelError::new("ask", format!("process {}", self.pid), *errno)
                    .saying(what.clone()),
                hint: hint.clone(),
            },
            Answer::Failed { what, hint, errno: None } => {
                Error::Input { what: what.clone(), hint: hint.clone() }
            }
            _ => Error::Host {
                operation: "ask",
                object: format!("process {}", self.pid),
                source: io::ErrorKind::InvalidData.into(),
            },
        }
    }
}

fn ask(line: &Mutex<UnixStream>, question: &Question) -> io::Result<Answer> {
    // Nobody is left in the middle of an answer: after an error there are no more.
    let line = line.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = serde_json::to_vec(question)?;
    text.push(b'\n');
    (&mut &*line).write_all(&text)?;
    let mut answer = String::new();
    if BufReader::new(&*line).read_line(&mut answer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&answer)?)
}

/// A map of a program in another process.
#[derive(Clone, Debug)]
pub struct RemoteMap {
    run: Run,
    def: MapDef,
}

impl RemoteMap {
    /// The program that it belongs to.
    #[must_use]
    pub const fn run(&self) -> &Run {
        &self.run
    }
}

impl MapOps for RemoteMap {
    fn def(&self) -> &MapDef {
        &self.def
    }

    fn lookup(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let question = Question::Lookup { map: self.def.name.clone(), key: key.to_vec() };
        match self.run.ask(&question)? {
            Answer::Value(value) => Ok(value),
            other => Err(self.run.wrong(&other)),
        }
    }

    fn update(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let (key, value) = (key.to_vec(), value.to_vec());
        match self.run.ask(&Question::Update { map: self.def.name.clone(), key, value })? {
            Answer::Done(_) => Ok(()),
            other => Err(self.run.wrong(&other)),
        }
    }

    fn delete(&self, key: &[u8]) -> Result<bool, Error> {
        let question = Question::Delete { map: self.def.name.clone(), key: key.to_vec() };
        match self.run.ask(&question)? {
            Answer::Done(was_there) => Ok(was_there),
            other => Err(self.run.wrong(&other)),
        }
    }

    fn entries(&self) -> Result<Entries, Error> {
        match self.run.ask(&Question::Entries { map: self.def.name.clone() })? {
            Answer::Entries(entries) => Ok(entries),
            other => Err(self.run.wrong(&other)),
        }
    }
}
