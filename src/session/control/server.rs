//! The side of the running engine.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};

use hoist_fallback::userspace::control::{Door, checked};
use hoist_offload::attach::{Attachment, MapHandle};
use hoist_offload::{EngineKind, Error};

use super::{About, Answer, Question};

/// Longest question: a key and a value of the largest kind, as JSON.
const LONGEST: u64 = 64 << 20;

/// Answers other processes for as long as it lives.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    about: Mutex<About>,
    maps: Vec<MapHandle>,
    types: Vec<u8>,
}

impl Server {
    /// Opens the door of a program of the user engine; nothing for other engines, whose programs the
    /// kernel tells of. `types` is the BTF of the module.
    ///
    /// # Errors
    /// The system's refusal of a socket or a thread.
    pub fn start(
        program: &str,
        attachment: &dyn Attachment,
        types: &[u8],
    ) -> Result<Option<Self>, Error> {
        if attachment.engine() != EngineKind::User {
            return Ok(None);
        }
        let effective = attachment.effective()?;
        let maps = attachment.maps();
        let about = About {
            program: program.to_owned(),
            hook: effective.hook,
            brought_by: effective.program_id,
            stats: Default::default(),
            events: Default::default(),
            maps: maps.iter().map(|map| map.def().clone()).collect(),
        };
        let shared = Shared { about: Mutex::new(about), maps, types: types.to_vec() };
        let shared = Arc::new(shared);
        let door = Door::here(attachment.ifindex());
        let failed = |source| Error::Host {
            operation: "open the door of",
            object: program.to_owned(),
            source,
        };
        let listener = door.open().map_err(failed)?;
        let answering = Arc::clone(&shared);
        // It ends with the process: nothing waits for it, and its socket has no file.
        std::thread::Builder::new()
            .name("hoist-door".to_owned())
            .spawn(move || listen(&listener, &answering))
            .map_err(failed)?;
        Ok(Some(Self { shared }))
    }

    /// Takes over what was counted.
    ///
    /// # Errors
    /// The counters could not be read.
    pub fn count(&self, attachment: &dyn Attachment) -> Result<(), Error> {
        let stats = attachment.stats()?.unwrap_or_default();
        let events = attachment.events()?;
        let mut about = self.shared.about.lock().unwrap_or_else(PoisonError::into_inner);
        about.stats = stats;
        about.events = events.into_iter().map(|(name, times)| (name.to_owned(), times)).collect();
        Ok(())
    }
}

fn listen(listener: &UnixListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream.and_then(checked) else { continue };
        let shared = Arc::clone(shared);
        // Whoever asks slowly keeps nobody else waiting; without a thread the question is lost.
        let body = move || drop(answer(&stream, &shared));
        let _ = std::thread::Builder::new().name("hoist-answer".to_owned()).spawn(body);
    }
}

/// Answers one side's questions until it goes.
fn answer(stream: &UnixStream, shared: &Shared) -> io::Result<()> {
    let mut questions = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if questions.by_ref().take(LONGEST).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let answer = match serde_json::from_str(&line) {
            Ok(question) => shared.to(&question),
            Err(error) => Answer::Failed { what: error.to_string(), hint: None, errno: None },
        };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        (&mut &*stream).write_all(&text)?;
    }
}

impl Shared {
    fn to(&self, question: &Question) -> Answer {
        let about = || self.about.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let done = match question {
            Question::About => Ok(Answer::About(Box::new(about()))),
            Question::Types => Ok(Answer::Types(self.types.clone())),
            Question::Lookup { map, key } => {
                self.map(map).and_then(|map| map.lookup(key)).map(Answer::Value)
            }
            Question::Update { map, key, value } => {
                self.map(map).and_then(|map| map.update(key, value)).map(|()| Answer::Done(true))
            }
            Question::Delete { map, key } => {
                self.map(map).and_then(|map| map.delete(key)).map(Answer::Done)
            }
            Question::Entries { map } => {
                self.map(map).and_then(|map| map.entries()).map(Answer::Entries)
            }
        };
        done.unwrap_or_else(|error| {
            let hint = match &error {
                Error::Kernel { hint, .. } | Error::Input { hint, .. } => hint.clone(),
                _ => None,
            };
            let errno = match &error {
                Error::Kernel { error, .. } => Some(error.errno),
                _ => None,
            };
            Answer::Failed { what: error.to_string(), hint, errno }
        })
    }

    fn map(&self, name: &str) -> Result<&MapHandle, Error> {
        let found = self.maps.iter().find(|map| map.def().name == name);
        found.ok_or_else(|| Error::Input { what: format!("there is no map '{name}'"), hint: None })
    }
}
