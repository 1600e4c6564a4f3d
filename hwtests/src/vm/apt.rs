//! Debian packages by name, from whatever archive apt is configured for.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::VmError;
use super::host;

/// A package that the archive offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    /// The field `Depends`.
    pub(super) depends: String,
}

impl Package {
    /// What a cache entry made from it is keyed by.
    pub(super) fn key(&self) -> String {
        format!("{}_{}", self.name, self.version).replace(['/', ':', '~'], "-")
    }

    /// The dependency whose name starts with `prefix`, without its version.
    pub(super) fn dependency(&self, prefix: &str) -> Option<&str> {
        let alternatives = self.depends.split([',', '|']).map(str::trim);
        alternatives.filter_map(|d| d.split(' ').next()).find(|d| d.starts_with(prefix))
    }
}

/// Paragraphs of `apt-cache show`.
fn paragraphs(text: &str) -> Vec<Package> {
    let field = |paragraph: &str, name: &str| {
        let mut lines = paragraph.lines();
        let value = lines.find_map(|l| l.strip_prefix(name)?.strip_prefix(": "));
        value.map(str::to_owned)
    };
    let packages = text.split("\n\n").filter_map(|p| {
        Some(Package {
            name: field(p, "Package")?,
            version: field(p, "Version")?,
            depends: field(p, "Depends").unwrap_or_default(),
        })
    });
    packages.collect()
}

/// Whether this is the name of an ordinary kernel image of the series, for amd64: neither for clouds
/// nor PREEMPT_RT, unsigned or with debug symbols.
fn is_image(name: &str, series: &str) -> bool {
    let version = name.strip_prefix("linux-image-").and_then(|n| n.strip_suffix("-amd64"));
    version.and_then(|v| v.strip_prefix(series)).is_some_and(|rest| {
        rest.starts_with('.') && !rest.ends_with("-cloud") && !rest.ends_with("-rt")
    })
}

/// The newest kernel image of a series.
pub(super) fn newest_image(series: &str) -> Result<Package, VmError> {
    let mut found = images(series)?;
    if found.is_empty() && rustix::process::getuid().is_root() {
        host::output(Command::new("apt-get").args(["-qq", "update"]))?;
        found = images(series)?;
    }
    newest(found)?.ok_or_else(|| {
        VmError::Missing(format!(
            "a package linux-image-{series}.*-amd64, which apt does not know here: \
             apt-get update, or Debian 12 with its security archive"
        ))
    })
}

fn images(series: &str) -> Result<Vec<Package>, VmError> {
    let prefix = format!("linux-image-{series}.");
    let names = host::output(Command::new("apt-cache").args(["pkgnames", &prefix]))?;
    let names: Vec<&str> = names.lines().filter(|name| is_image(name, series)).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    show(&names)
}

fn newest(packages: Vec<Package>) -> Result<Option<Package>, VmError> {
    let mut newest: Option<Package> = None;
    for package in packages {
        let later = match &newest {
            Some(known) => compare(&package.version, &known.version)? == Ordering::Greater,
            None => true,
        };
        if later {
            newest = Some(package);
        }
    }
    Ok(newest)
}

/// Debian's order of versions.
fn compare(one: &str, other: &str) -> Result<Ordering, VmError> {
    let mut command = Command::new("dpkg");
    command.args(["--compare-versions", one, "gt", other]);
    let status = command.status().map_err(|e| VmError::failed("start", "dpkg", e))?;
    Ok(if status.success() { Ordering::Greater } else { Ordering::Less })
}

fn show(names: &[&str]) -> Result<Vec<Package>, VmError> {
    let mut command = Command::new("apt-cache");
    // Names without a candidate make the command fail; what it printed is right all the same.
    command.args(["show", "--no-all-versions"]).args(names);
    let output = command.output().map_err(|e| VmError::failed("start", "apt-cache", e))?;
    Ok(paragraphs(&String::from_utf8_lossy(&output.stdout)))
}

/// One package of exactly this version.
pub(super) fn exactly(name: &str, version: &str) -> Result<Package, VmError> {
    let mut command = Command::new("apt-cache");
    command.args(["show", &format!("{name}={version}")]);
    let output = command.output().map_err(|e| VmError::failed("start", "apt-cache", e))?;
    let found = paragraphs(&String::from_utf8_lossy(&output.stdout)).into_iter().next();
    found.ok_or_else(|| {
        VmError::Missing(format!(
            "the package {name} of version {version}, which apt does not know"
        ))
    })
}

/// Downloads a package into `folder` and unpacks it there; the file itself is removed.
pub(super) fn unpack(package: &Package, folder: &Path) -> Result<(), VmError> {
    let downloads = folder.join("download");
    std::fs::create_dir_all(&downloads).map_err(|e| VmError::io("create", &downloads, &e))?;
    let wanted = format!("{}={}", package.name, package.version);
    let mut command = Command::new("apt-get");
    // As root, apt would download as another user, who may not write here.
    command.args(["-qq", "-o", "APT::Sandbox::User=root", "download", &wanted]);
    let got = host::output(command.current_dir(&downloads));
    got.map_err(|e| VmError::Missing(format!("the package {wanted} (no network?): {e}")))?;
    let file = only_file(&downloads)?;
    host::output(Command::new("dpkg-deb").arg("-x").arg(&file).arg(folder))?;
    std::fs::remove_dir_all(&downloads).map_err(|e| VmError::io("remove", &downloads, &e))
}

fn only_file(folder: &Path) -> Result<PathBuf, VmError> {
    let mut entries = std::fs::read_dir(folder).map_err(|e| VmError::io("read", folder, &e))?;
    match entries.next() {
        Some(Ok(entry)) => Ok(entry.path()),
        _ => Err(VmError::failed("apt-get download", folder.display(), "it left no file")),
    }
}

/// The newest entry of the cache of that kind, for a host that has no package lists.
pub(super) fn or_cached<T>(
    found: Result<T, VmError>,
    cached: impl FnOnce() -> Option<T>,
) -> Result<T, VmError> {
    match found {
        Err(VmError::Missing(what)) => cached().ok_or(VmError::Missing(what)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_images_of_a_series_are_told_from_others() {
        for (name, series, expected) in [
            ("linux-image-6.1.0-56-amd64", "6.1", true),
            ("linux-image-6.12.117+deb12-amd64", "6.12", true),
            ("linux-image-6.12.117+deb12-amd64", "6.1", false),
            ("linux-image-6.1.0-56-rt-amd64", "6.1", false),
            ("linux-image-6.1.0-56-cloud-amd64", "6.1", false),
            ("linux-image-6.1.0-56-amd64-unsigned", "6.1", false),
            ("linux-image-6.1.0-56-amd64-dbg", "6.1", false),
            ("linux-image-amd64", "6.1", false),
        ] {
            assert_eq!(is_image(name, series), expected, "{name}");
        }
    }

    #[test]
    fn paragraphs_of_apt_become_packages() {
        let text = "Package: a\nVersion: 1:2~3\nDepends: x-common (= 1), gcc-12 | gcc, y\n\nPackage: b\nVersion: 2\n";
        let [a, b] = &paragraphs(text)[..] else { panic!() };
        assert_eq!(a.key(), "a_1-2-3");
        assert_eq!(a.dependency("x-"), Some("x-common"));
        assert_eq!(a.dependency("gcc-"), Some("gcc-12"));
        assert_eq!(a.dependency("z"), None);
        assert_eq!((b.name.as_str(), b.depends.as_str()), ("b", ""));
    }
}
