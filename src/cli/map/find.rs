//! Finding maps: by id, by name, by pin, by the program that uses them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hoist_offload::bpf::kernel::{Capability, Kernel, MapInfo, ObjectKind};
use hoist_offload::{Device, Error, privilege};

use super::bad;
use super::typed::TypedMap;
use crate::cli::args::MapSelector;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::session::control;
use crate::suggest;

const EACCES: i32 = 13;

/// Bytes of a name that the kernel keeps.
const NAME: usize = 15;

/// Opening objects by id takes this, whatever CAP_BPF permits otherwise.
const BY_ID: [Capability; 1] = [Capability::CapSysAdmin];

/// The map that a selector names.
///
/// # Errors
/// [`Error::Input`] when there is none or more than one, with what there is.
pub(super) fn map(cx: &Context<'_>, selector: &MapSelector) -> Result<TypedMap, Failure> {
    let kernel = cx.kernel("a map")?;
    let (fd, info) = match selector {
        MapSelector::Pinned(path) => pinned(kernel.as_ref(), path)?,
        MapSelector::Id(id) => {
            privilege::require(format!("open {selector}"), &BY_ID)?;
            by_id(kernel.as_ref(), *id)?.ok_or_else(|| Error::Input {
                what: format!("there is no {selector}"),
                hint: Some("'hoist map list' lists them".to_owned()),
            })?
        }
        MapSelector::Name(name) => {
            privilege::require(format!("look for {selector}"), &BY_ID)?;
            by_name(kernel.as_ref(), name)?
        }
        MapSelector::Attached { interface, name } => {
            let device = cx.device(interface)?;
            if let Some(map) = of_process(kernel.as_ref(), &device, name)? {
                return Ok(map);
            }
            privilege::require(format!("open {selector}"), &BY_ID)?;
            attached(kernel.as_ref(), &device, name)?
        }
    };
    let name = match selector {
        MapSelector::Name(name) | MapSelector::Attached { name, .. } => name.clone(),
        _ => info.name.clone(),
    };
    Ok(TypedMap::open(kernel, fd, info, name)?)
}

/// The map of a program that the user engine runs on a device, which no id names.
fn of_process(
    kernel: &dyn Kernel,
    device: &Device,
    name: &str,
) -> Result<Option<TypedMap>, Failure> {
    let Some(run) = control::runs().into_iter().find(|run| run.ifindex == device.ifindex) else {
        return Ok(None);
    };
    let defs = &run.about.maps;
    let is_asked = |asked: &str| is_called(asked, name);
    let found = defs.iter().find(|def| def.name == name);
    let found = found.or_else(|| defs.iter().find(|def| is_asked(&def.name)));
    let Some(map) = found.and_then(|def| run.map(&def.name)) else {
        let names: Vec<&str> = defs.iter().map(|def| def.name.as_str()).collect();
        return Err(Failure::Error(Error::Input {
            what: format!("{} on {} has no map '{name}'", run.about.program, device.name),
            hint: Some(suggest::instead(name, "map", &names)),
        }));
    };
    Ok(Some(TypedMap::of_process(map, kernel.possible_cpus()?)?))
}

type Found = (OwnedFd, MapInfo);

fn by_id(kernel: &dyn Kernel, id: u32) -> Result<Option<Found>, Error> {
    let Some(fd) = kernel.open(ObjectKind::Map, id)? else { return Ok(None) };
    let info = kernel.map_info(fd.as_fd())?;
    Ok(Some((fd, info)))
}

/// `bpf_inode_type` (kernel/bpf/inode.c) says EACCES for what lies on another file system.
fn pinned(kernel: &dyn Kernel, path: &Path) -> Result<Found, Error> {
    let got = kernel.get_pinned(path).map_err(|error| match error.errno {
        EACCES => Error::Input {
            what: format!("{} is no pinned map that this user may open: {error}", path.display()),
            hint: Some(
                "pins lie on a bpffs: `findmnt -t bpf` lists those there are; another user's need \
                 root"
                    .to_owned(),
            ),
        },
        _ => error.into(),
    })?;
    let fd = got.ok_or_else(|| Error::Input {
        what: format!("nothing is pinned at {}", path.display()),
        hint: Some(format!("ls {}", path.parent().unwrap_or(path).display())),
    })?;
    let info = kernel.map_info(fd.as_fd())?;
    Ok((fd, info))
}

fn by_name(kernel: &dyn Kernel, name: &str) -> Result<Found, Error> {
    let mut names = Vec::new();
    let mut found: Vec<Found> = Vec::new();
    for id in kernel.ids(ObjectKind::Map)? {
        let Some((fd, info)) = by_id(kernel, id)? else { continue };
        if is_called(&info.name, name) {
            found.push((fd, info));
        } else {
            names.push(info.name);
        }
    }
    one(found, &format!("'{name}'"), name, &names)
}

fn attached(kernel: &dyn Kernel, device: &Device, name: &str) -> Result<Found, Error> {
    let mut names = Vec::new();
    let mut found: Vec<Found> = Vec::new();
    for id in used_by(kernel, device)?.into_keys() {
        let Some((fd, info)) = by_id(kernel, id)? else { continue };
        if is_called(&info.name, name) {
            found.push((fd, info));
        } else {
            names.push(info.name);
        }
    }
    if found.is_empty() && names.is_empty() {
        let what = match device.attached.as_slice() {
            [] => format!("{}: nothing is attached", device.name),
            _ => format!("{}: the attached programs have no maps", device.name),
        };
        return Err(Error::Input { what, hint: Some("'hoist status' shows what is".to_owned()) });
    }
    one(found, &format!("'{name}' on {}", device.name), name, &names)
}

/// Ids of the maps that programs on a device use, with the names of these programs.
///
/// # Errors
/// The kernel's refusal.
pub(super) fn used_by(
    kernel: &dyn Kernel,
    device: &Device,
) -> Result<BTreeMap<u32, Vec<String>>, Error> {
    let mut maps: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let programs = device
        .attached
        .iter()
        .flat_map(|p| std::iter::once(p.id).chain(p.components.iter().map(|c| c.id)));
    for id in programs {
        let Some(program) = kernel.open(ObjectKind::Program, id)? else { continue };
        let info = kernel.program_info(program.as_fd())?;
        for map in info.map_ids {
            maps.entry(map).or_default().push(info.name.clone());
        }
    }
    Ok(maps)
}

fn one(mut found: Vec<Found>, what: &str, name: &str, others: &[String]) -> Result<Found, Error> {
    if found.len() > 1 {
        let ids: Vec<String> = found.iter().map(|(_, info)| info.id.to_string()).collect();
        return Err(bad(
            name,
            format!("{} maps are called that: ids {}", found.len(), ids.join(", ")),
            Some(format!("name one of them: id {}", ids[0])),
        ));
    }
    found.pop().ok_or_else(|| {
        let mut names: Vec<&str> = others.iter().map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        // A map may be without a name.
        names.retain(|name| !name.is_empty());
        Error::Input {
            what: format!("there is no map {what}"),
            hint: Some(suggest::instead(name, "map", &names)),
        }
    })
}

/// Whether the kernel's name stands for the one that was asked: cut to 15 bytes, and for data
/// sections, which are named `OBJECT.rodata`, by their end.
fn is_called(kernel: &str, asked: &str) -> bool {
    kernel == asked
        || (kernel.len() == NAME && asked.starts_with(kernel))
        || (asked.starts_with('.') && kernel.ends_with(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_the_kernel_keeps_them() {
        let cases = [
            ("blocked", "blocked", true),
            ("a_rather_long_n", "a_rather_long_name", true),
            ("a_rather_long_n", "a_rather_long_m", false),
            ("filter.rodata", ".rodata", true),
            ("filter.rodata", "rodata", false),
            ("block", "blocked", false),
        ];
        for (kernel, asked, is) in cases {
            assert_eq!(is_called(kernel, asked), is, "{kernel} {asked}");
        }
    }
}
