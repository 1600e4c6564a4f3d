//! Traffic for a place.

use std::sync::Arc;

use hoist_bpf::kernel::Kernel;
use hoist_hwtests::frame::Frame;
use hoist_hwtests::lab::Lab;
use hoist_offload::Error;

use super::Place;
use crate::generator::Generator;
use crate::meter::Traffic;

/// A generator that sends out of the far end.
pub(super) fn of(place: &Place, kernel: &Arc<dyn Kernel>) -> Result<Box<dyn Traffic>, Error> {
    let Some(far) = &place.far else {
        return Err(Error::Input { what: "nothing sends".to_owned(), hint: None });
    };
    let near = &place.near;
    let frame = Frame::eth(far.mac, near.mac).ipv4(Lab::FAR.octets(), Lab::NEAR.octets());
    let frame = frame.udp(4000, 9).payload(&[0; 18]).bytes();
    Ok(Box::new(Generator::new(Arc::clone(kernel), far.ifindex, frame)?))
}
