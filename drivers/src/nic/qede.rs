//! QLogic FastLinQ. Virtual functions have native XDP only where the physical function grants it. Attaching
//! reloads the interface.

use crate::rules::Nic;

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "qede",
    aliases: &[],
    since: "4.10",
    source: "drivers/net/ethernet/qlogic/qede/qede_filter.c: qede_xdp_set",
    rules: &[],
};
