//! One file per kernel driver, and the list of them.

use crate::table::Listed;

pub mod am65_cpsw;
pub mod atlantic;
pub mod bnxt_en;
pub mod bonding;
pub mod cpsw;
pub mod dpaa;
pub mod dpaa2;
pub mod ena;
pub mod enetc;
pub mod fec;
pub mod funeth;
pub mod gve;
pub mod hv_netvsc;
pub mod i40e;
pub mod ice;
pub mod igb;
pub mod igc;
pub mod ionic;
pub mod ixgbe;
pub mod ixgbevf;
pub mod lan966x;
pub mod mana;
pub mod mlx4_en;
pub mod mlx5_core;
pub mod mtk_eth_soc;
pub mod mvneta;
pub mod mvpp2;
pub mod netdevsim;
pub mod netsec;
pub mod nfp;
pub mod nicvf;
pub mod octeontx2;
pub mod qede;
pub mod sfc;
pub mod sfc_siena;
pub mod stmmac;
pub mod tsnep;
pub mod tun;
pub mod veth;
pub mod virtio_net;
pub mod vmxnet3;
pub mod without;
pub mod xen_netfront;

/// Every driver known, in the order in which they are asked: NICs by vendor, then virtual devices,
/// then those without native XDP. The order matters only where two claim the same device.
pub static DRIVERS: &[&dyn Listed] = &[
    &mlx5_core::DRIVER,
    &mlx4_en::DRIVER,
    &i40e::DRIVER,
    &ice::DRIVER,
    &ixgbe::DRIVER,
    &ixgbevf::DRIVER,
    &igb::DRIVER,
    &igc::DRIVER,
    &bnxt_en::DRIVER,
    &ena::DRIVER,
    &gve::DRIVER,
    &mana::DRIVER,
    &hv_netvsc::DRIVER,
    &virtio_net::DRIVER,
    &vmxnet3::DRIVER,
    &sfc::DRIVER,
    &sfc_siena::DRIVER,
    &qede::DRIVER,
    &nfp::DRIVER,
    &stmmac::DRIVER,
    &dpaa::DRIVER,
    &dpaa2::DRIVER,
    &enetc::DRIVER,
    &fec::DRIVER,
    &mvneta::DRIVER,
    &mvpp2::DRIVER,
    &octeontx2::DRIVER,
    &nicvf::DRIVER,
    &atlantic::DRIVER,
    &ionic::DRIVER,
    &tsnep::DRIVER,
    &mtk_eth_soc::DRIVER,
    &lan966x::DRIVER,
    &netsec::DRIVER,
    &cpsw::DRIVER,
    &am65_cpsw::DRIVER,
    &funeth::DRIVER,
    &xen_netfront::DRIVER,
    &netdevsim::DRIVER,
    &veth::DRIVER,
    &tun::DRIVER,
    &bonding::DRIVER,
    &without::LOOPBACK,
    &without::ALL[0],
    &without::ALL[1],
    &without::ALL[2],
    &without::ALL[3],
    &without::ALL[4],
    &without::ALL[5],
    &without::ALL[6],
    &without::ALL[7],
    &without::ALL[8],
    &without::ALL[9],
    &without::ALL[10],
    &without::ALL[11],
    &without::ALL[12],
    &without::ALL[13],
    &without::ALL[14],
    &without::ALL[15],
    &without::ALL[16],
    &without::ALL[17],
    &without::ALL[18],
    &without::ALL[19],
    &without::ALL[20],
    &without::ALL[21],
    &without::ALL[22],
    &without::ALL[23],
    &without::ALL[24],
    &without::ALL[25],
    &without::ALL[26],
    &without::ALL[27],
];

#[cfg(test)]
mod tests {
    use hoist_offload::Driver;

    use super::*;

    /// A file that is not listed would be silently without effect.
    #[test]
    fn every_file_is_registered() {
        let source = include_str!("mod.rs");
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/nic");
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if matches!(stem.as_str(), "mod" | "without") {
                continue;
            }
            assert!(
                source.contains(&format!("    &{stem}::DRIVER,\n")),
                "drivers/src/nic/{stem}.rs is not listed in DRIVERS"
            );
        }
        for without in &without::ALL {
            assert!(DRIVERS.iter().any(|d| d.name() == without.name()), "{}", without.name());
        }
    }

    #[test]
    fn no_name_is_listed_twice() {
        let mut names: Vec<_> = DRIVERS.iter().map(|d| d.name()).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
