//! The kernel's simulated NIC. It takes native programs of up to an MTU of 4000; before Linux 6.15 it never
//! runs them.

use hoist_offload::When;

use crate::rules::{Nic, Rule};

/// See the module.
pub static DRIVER: Nic = Nic {
    name: "netdevsim",
    aliases: &[],
    since: "4.16",
    source: "drivers/net/netdevsim/bpf.c: nsim_xdp_set_prog",
    rules: &[
        Rule::Mtu(4000, When::Always),
        Rule::Note(
            "simulated",
            "netdevsim is no NIC: kernels before 6.15 attach native programs to it and never run them",
            When::Always,
        ),
    ],
};
