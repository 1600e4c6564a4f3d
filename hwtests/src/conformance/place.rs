//! Where shots are fired: three namespaces, two wires, and silence.
//!
//! ```text
//!    far ns          near ns                     third ns
//!   [ v1 ] -------- [ v0 ] program  [ v2 ] -------- [ v3 ]
//!   sends, sees     the device      the port that   sees redirects
//!   XDP_TX          under test      redirects leave by
//! ```
//!
//! Nothing but the shots moves here. The near end's addresses are on its loopback interface and it
//! has no route back, so that its stack receives everything and answers nothing; it forwards to the
//! third alone. The other two have no addresses at all. Only a place for real sockets has addresses and routes on the wire.
//!
//! `v1` and `v3` run a program that passes everything: veth's native `XDP_TX` and redirects reach only
//! an end that has one. It copes with frames of several buffers, so that it limits no MTU.

use hoist_offload::plan::Choice;
use hoist_offload::{Attachment, EngineKind, Registry};

use super::case::Setup;
use crate::dut::{Dut, Failure};
use crate::frame::notation::Names;
use crate::lab::{End, LabError, Namespace, Port, Tap, Veth};

/// The ports that shots use, and what is around them.
#[derive(Debug)]
pub struct Place {
    /// The device under test.
    pub dut: Dut,
    /// The one who sends to it.
    pub far: Port,
    /// The port that redirects go out of, beside the device under test, and where they arrive.
    pub exit: Option<(Port, Port)>,
    /// What addresses are called.
    pub names: Names,
    /// What must live as long; the programs before the wires they are on.
    _programs: Vec<Box<dyn Attachment>>,
    _wires: Vec<Veth>,
    _tun: Option<Tap>,
}

/// Answers nothing that it is not asked over an established socket.
const SILENT: [(&str, &str); 4] = [
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv4/conf/all/arp_ignore", "8"),
    ("ipv4/conf/default/arp_ignore", "8"),
];

impl Place {
    /// Makes one for a registry's engines. `sockets`: real sockets can speak over the wire.
    ///
    /// # Errors
    /// What the kernel would not set up.
    pub fn create(registry: &Registry, setup: &Setup, sockets: bool) -> Result<Self, Failure> {
        let names = Names::lab();
        let (near, far, third) = (Namespace::new()?, Namespace::new()?, Namespace::new()?);
        configure(&near, &SILENT)?;
        for quiet in [&far, &third] {
            configure(quiet, &[("ipv6/conf/default/disable_ipv6", "1")])?;
        }
        let address = |name: &str| names.get(name).map_or([0; 4].into(), |s| s.ipv4);
        let end = |name, n, mtu: Option<u32>| End::new(name, n).mtu(mtu.unwrap_or(1500));
        let queues = setup.queues.unwrap_or(1);
        let mut v0 = end("v0", 1, setup.mtu).queues(queues, queues).gro(setup.gro);
        let mut v1 = end("v1", 2, setup.mtu).queues(queues, queues);
        v1 = v1.tx_checksum(setup.sender_offloads);
        if sockets {
            v0 = v0.address(address("near"), 24);
            v1 = v1.address(address("far"), 24);
        }
        let wire = Veth::create((&near, v0), (&far, v1))?;
        let mut v2 = end("v2", 3, setup.third_mtu);
        if setup.third_down {
            v2 = v2.down();
        }
        let out = Veth::create((&near, v2), (&third, end("v3", 4, setup.third_mtu)))?;
        if sockets {
            wire.near.neighbour(address("far"), wire.far.mac)?;
            wire.far.neighbour(address("near"), wire.near.mac)?;
        } else {
            let loopback = Port::find(&near, "lo")?;
            if let Some(station) = names.get("near") {
                loopback.address(station.ipv4, 32)?;
                loopback.address(station.ipv6, 128)?;
            }
        }
        // One route, so that there is something to look up; it leads only to the third.
        out.near.address(address("exit"), 24)?;
        out.near.neighbour(address("third"), out.far.mac)?;
        configure(&near, &[("ipv4/conf/v0/forwarding", "1")])?;
        let ends = [(&wire.far, setup.far_deaf), (&out.far, setup.third_deaf)];
        let ends = ends.into_iter().filter(|(_, deaf)| !deaf);
        let programs = ends.map(|(port, _)| receiving(port)).collect::<Result<_, _>>()?;
        let tun = setup.no_ethernet.then(|| Tap::without_ethernet(&near, "tun0")).transpose()?;
        let device = tun.as_ref().map_or(&wire.near, |tun| &tun.port);
        Ok(Self {
            dut: Dut::with(device, registry.clone())?,
            far: wire.far.clone(),
            exit: Some((out.near.clone(), out.far.clone())),
            names,
            _programs: programs,
            _wires: vec![wire, out],
            _tun: tun,
        })
    }

    /// Uses interfaces that exist: the device under test and the other end of its wire. Nothing of
    /// them is changed but the program; the other end of a veth, which would not receive what native
    /// XDP sends, runs one that passes everything, unless it has one.
    ///
    /// # Errors
    /// The kernel could not be asked about itself.
    pub fn given(registry: &Registry, near: &Port, far: &Port) -> Result<Self, Failure> {
        let lab = Names::lab();
        let with = |names: Names, name: &str, port: &Port| match lab.get(name).cloned() {
            Some(station) => {
                names.with(crate::frame::notation::Station { mac: port.mac, ..station })
            }
            None => names,
        };
        let names = with(with(lab.clone(), "near", near), "far", far);
        Ok(Self {
            dut: Dut::with(near, registry.clone())?,
            far: far.clone(),
            exit: None,
            names,
            _programs: hears(near, far).into_iter().collect(),
            _wires: Vec::new(),
            _tun: None,
        })
    }

    /// What `"@near"` and `"@exit"` mean in map entries.
    #[must_use]
    pub fn index(&self, word: &str) -> Option<u32> {
        match word {
            "@near" => Some(self.dut.port().ifindex),
            "@exit" => self.exit.as_ref().map(|(near, _)| near.ifindex),
            _ => None,
        }
    }

    /// The name of the device's driver, as the kernel says it.
    #[must_use]
    pub fn driver(&self) -> Option<String> {
        self.dut.device().ok()?.driver.value().cloned()
    }
}

/// Attaches a program that passes everything, so that the port receives what XDP sends.
fn receiving(port: &Port) -> Result<Box<dyn Attachment>, Failure> {
    let dut = Dut::new(port)?;
    let job = dut.prebuilt("frags")?;
    Ok(dut.run(&job, Choice::only(EngineKind::Native))?.1)
}

/// Lets the other end of a veth receive, if it is that and has no program yet.
fn hears(near: &Port, far: &Port) -> Option<Box<dyn Attachment>> {
    let device = Dut::new(far).ok()?.device().ok()?;
    let veth = device.driver.value().is_some_and(|driver| driver == "veth");
    if near.ifindex == far.ifindex || !veth || !device.attached.is_empty() {
        return None;
    }
    receiving(far).ok()
}

fn configure(namespace: &Namespace, keys: &[(&str, &str)]) -> Result<(), LabError> {
    namespace.run(|| {
        for (key, value) in keys {
            let path = format!("/proc/sys/net/{key}");
            match std::fs::write(&path, value) {
                // A kernel without IPv6 is silent by itself.
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && key.contains("ipv6") => {}
                other => other.map_err(|e| LabError::io("write", &path, &e))?,
            }
        }
        Ok(())
    })
}
