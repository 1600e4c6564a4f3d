//! Routes in a file: what programs on captures are told of interfaces, routes and neighbours.

use std::path::Path;

use hoist_fallback::userspace::environment::routing::Routing;
use hoist_offload::Error;
use serde::{Deserialize, Serialize};

use crate::{file, suggest};

/// `hoist.routes.v1`: a snapshot of one network namespace.
#[derive(Debug, Serialize, Deserialize)]
pub struct Routes {
    schema: String,
    #[serde(flatten)]
    routing: Routing,
}

impl Routes {
    /// The schema name of the current format.
    pub const SCHEMA: &str = "hoist.routes.v1";

    /// Takes the routes of the network namespace that the calling thread is in.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn take() -> Result<Self, Error> {
        Ok(Self { schema: Self::SCHEMA.to_owned(), routing: Routing::take()? })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or holds something else.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display();
        let wrong = |what: String| Error::Input {
            what,
            hint: Some(
                "'hoist probe --routes FILE' writes one, on the host it is about".to_owned(),
            ),
        };
        let text = file::text(path)
            .map_err(|error| wrong(format!("cannot read {name}: {}", file::words(&error))))?;
        let routes: Self = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("{name} holds no routes: {error}")))?;
        if routes.schema != Self::SCHEMA {
            return Err(wrong(format!("{name}: '{}' is not {}", routes.schema, Self::SCHEMA)));
        }
        Ok(routes)
    }

    /// The snapshot.
    #[must_use]
    pub const fn routing(&self) -> &Routing {
        &self.routing
    }

    /// The index of an interface of the snapshot.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn index_of(&self, name: &str) -> Result<u32, Error> {
        let interfaces = &self.routing.interfaces;
        if let Some(found) = interfaces.iter().find(|interface| interface.name == name) {
            return Ok(found.index);
        }
        let names: Vec<&str> = interfaces.iter().map(|i| i.name.as_str()).collect();
        Err(Error::Input {
            what: format!("the routes know no interface '{name}'"),
            hint: Some(suggest::instead(name, "interface", &names)),
        })
    }
}
