//! Where a scenario takes place: the device under test, and the interface that sends to it.

use std::path::Path;

use hoist_hwtests::lab::{Lab, LabError, Namespace, Port};

/// The calling thread's network namespace.
const OWN: &str = "/proc/thread-self/ns/net";

/// The two ends of the wire.
#[derive(Debug)]
pub struct Place {
    /// The device under test: programs are attached here.
    pub near: Port,
    /// Frames are sent out of this one; `None` where somebody else sends, from another machine.
    pub far: Option<Port>,
    /// What was made for the occasion; gone with this value.
    made: Option<Lab>,
}

impl Place {
    /// A veth pair in two network namespaces that nobody else can find, with as many queues each way
    /// as processors are to generate. It ends with this value, or with the process.
    ///
    /// # Errors
    /// What the kernel would not set up.
    pub fn made(queues: u32) -> Result<Self, LabError> {
        // GRO makes the receiving end poll: without it, or a native program there, the driver refuses
        // every frame that is redirected into the other end.
        let lab = Lab::with(
            |near| near.queues(queues, queues).gro(true),
            |far| far.queues(queues, queues),
        )?;
        Ok(Self { near: lab.near().clone(), far: Some(lab.far().clone()), made: Some(lab) })
    }

    /// Interfaces of the calling thread's network namespace.
    ///
    /// # Errors
    /// There is no such interface.
    pub fn given(near: &str, far: Option<&str>) -> Result<Self, LabError> {
        let here = Namespace::open(Path::new(OWN))?;
        let near = Port::find(&here, near)?;
        let far = far.map(|far| Port::find(&here, far)).transpose()?;
        Ok(Self { near, far, made: None })
    }

    /// Whether the interfaces were made for the occasion, so that nothing on them is anybody's.
    #[must_use]
    pub const fn is_made(&self) -> bool {
        self.made.is_some()
    }
}
