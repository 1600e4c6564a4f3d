//! What the host must have, and running its commands.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use super::{Machine, Netdevsim, VmError};

/// Where administrators' commands are, which not every user's search path has.
const ALSO: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// Commands that boot a machine, with the Debian package of each.
const BOOT: [(&str, &str); 9] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("apt-cache", "apt"),
    ("apt-get", "apt"),
    ("dpkg-deb", "dpkg"),
    ("depmod", "kmod"),
    ("modprobe", "kmod"),
    ("busybox", "busybox-static"),
    ("dash", "dash"),
    ("setpriv", "util-linux"),
];

/// Commands that build a kernel module, besides.
const BUILD: [(&str, &str); 5] =
    [("make", "make"), ("gcc", "gcc"), ("patch", "patch"), ("tar", "tar"), ("xz", "xz-utils")];

/// Looks for what is needed and names all that is missing.
pub(super) fn requirements(build: bool) -> Result<(), VmError> {
    if std::env::consts::ARCH != "x86_64" {
        let what = "an x86-64 host: test binaries run in the machine as they are";
        return Err(VmError::Missing(what.to_owned()));
    }
    let wanted = BOOT.iter().chain(BUILD.iter().filter(|_| build));
    let missing: Vec<String> = wanted
        .filter(|(command, _)| find(command).is_none())
        .map(|(command, package)| format!("{command} (Debian's {package})"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(VmError::Missing(format!("{}; scripts/install-deps.sh vm", missing.join(", "))))
}

/// The search path with administrators' commands.
pub(super) fn search_path() -> std::ffi::OsString {
    let mine = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&mine).chain(ALSO.iter().map(PathBuf::from));
    std::env::join_paths(all).unwrap_or(mine)
}

/// Where a command is.
pub(super) fn find(command: &str) -> Option<PathBuf> {
    let path = search_path();
    std::env::split_paths(&path).map(|dir| dir.join(command)).find(|file| file.is_file())
}

/// Runs a command of the host and returns what it printed.
pub(super) fn output(command: &mut Command) -> Result<String, VmError> {
    let name = command.get_program().to_string_lossy().into_owned();
    let arguments: Vec<String> =
        command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let arguments = arguments.join(" ");
    command.env("PATH", search_path()).env("LC_ALL", "C");
    let output = command.output().map_err(|e| VmError::failed("start", &name, e))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        let cause = format!("{}: {}", output.status, last_lines(words.trim(), 20));
        return Err(VmError::failed(&name, arguments, cause));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last lines of a text.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Shared libraries that a program is linked with, as the dynamic linker finds them here.
pub(super) fn libraries(program: &Path) -> Vec<PathBuf> {
    // Static programs make it fail; they need nothing.
    let Ok(text) = output(Command::new("ldd").arg(program)) else { return Vec::new() };
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// A folder for one run, within cargo's target folder where there is one: the image and the logs.
/// Removes those of processes that are gone.
pub(super) fn run_folder(machine: &Machine) -> Result<PathBuf, VmError> {
    let kind = match machine.netdevsim {
        None => "",
        Some(Netdevsim::Stock) => "-stock",
        Some(Netdevsim::Card) => "-card",
    };
    folder(&format!("{}{kind}", machine.series))
}

/// Like [`run_folder`], for any purpose.
pub(super) fn folder(purpose: &str) -> Result<PathBuf, VmError> {
    let folder = target().unwrap_or_else(std::env::temp_dir).join("vm");
    for entry in fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.rsplit_once('-').and_then(|(_, id)| id.parse::<u32>().ok());
        if owner.is_some_and(|id| !Path::new(&format!("/proc/{id}")).exists()) {
            // What cannot be removed costs space, nothing else.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let thread = rustix::thread::gettid().as_raw_nonzero();
    let name = format!("{purpose}-{thread}-{}", std::process::id());
    let path = folder.join(name);
    // Logs of this thread's machine before: qemu would write over them without cutting them off.
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).map_err(|e| VmError::io("create", &path, &e))?;
    Ok(path)
}

/// Cargo's target folder, from where this program lies: `target/debug/deps/vm-0123`.
pub(super) fn target() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let folder = program.ancestors().find(|a| a.join("CACHEDIR.TAG").is_file())?;
    Some(folder.to_owned())
}

/// A program without its debugging information, which is most of it: a copy below the target folder,
/// kept until the program changes. The program itself where it cannot be stripped.
pub(super) fn stripped(program: &Path) -> PathBuf {
    let strip = || {
        let folder = target()?.join("vm/stripped");
        // By its whole path: a command of the same name from another profile is another program.
        let name = fs::canonicalize(program).ok()?.to_str()?.replace('/', "-");
        let copy = folder.join(name.trim_start_matches('-'));
        let modified = |path: &Path| fs::metadata(path).ok()?.modified().ok();
        if modified(&copy) < modified(program) {
            fs::create_dir_all(&folder).ok()?;
            // Another process and another test of this one may be at it, too.
            let mut partial = copy.clone().into_os_string();
            partial.push(format!(".{}-{:?}", std::process::id(), thread::current().id()));
            let mut command = Command::new("strip");
            output(command.arg("-g").arg("-o").arg(&partial).arg(program)).ok()?;
            fs::rename(&partial, &copy).ok()?;
        }
        Some(copy)
    };
    strip().unwrap_or_else(|| program.to_owned())
}
