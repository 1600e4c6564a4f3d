//! QLogic FastLinQ. Virtual functions have native XDP only where the physical function grants it. Attaching
//! reloads the interface.

use hoist_offload::device::XdpFeatures as X;

use crate::rules::Nic;
use crate::table::Reports;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "qede",
    aliases: &[],
    since: "4.10",
    source: "drivers/net/ethernet/qlogic/qede/qede_filter.c: qede_xdp_set",
    reports: Reports::always(&[X::BASIC, X::REDIRECT, X::NDO_XMIT])
        .sometimes(&[], "of virtual functions only where the firmware allows it"),
    rules: &[],
};
