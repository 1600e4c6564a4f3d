//! The running kernel, through libbpf's low-level calls and netlink.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::netlink::{netfilter, route};
use super::{
    Bytes, Entries, Expect, Filter, FilterKey, Kernel, KernelError, LinkInfo, LogLines, MapInfo,
    MapSpec, ObjectKind, ProgramInfo, ProgramSpec, TestRun, TestRunSpec, XdpMode, XdpSlots, netns,
};

mod bpffs;
mod cpu;
mod entries;
mod feature;
mod info;
mod interrupt;
mod kmsg;
mod link;
mod load;
mod lock;
mod map;
mod napi;
mod note;
mod pin;
mod reason;
mod run;
mod sys;
mod tc;
mod vmlinux;
mod watch;

pub(super) use interrupt::interrupt;
use map::Table;

/// The running kernel. Network questions are asked in the network namespace that the calling thread
/// is in at that moment.
#[derive(Clone, Copy, Debug)]
pub struct Linux {
    _private: (),
}

impl Linux {
    /// Prepares libbpf: it prints nothing, what it has to say comes back as errors.
    ///
    /// # Errors
    /// None at present; opening the door asks for no permission, using it does.
    pub fn new() -> Result<Self, KernelError> {
        sys::silence();
        Ok(Self { _private: () })
    }
}

impl Kernel for Linux {
    fn load_program(&self, spec: &ProgramSpec<'_>) -> Result<OwnedFd, KernelError> {
        load::program(spec)
    }

    fn load_btf(&self, btf: &[u8]) -> Result<OwnedFd, KernelError> {
        load::btf(btf)
    }

    fn create_map(&self, spec: &MapSpec<'_>) -> Result<OwnedFd, KernelError> {
        map::create(spec)
    }

    fn map_lookup(
        &self,
        map: BorrowedFd<'_>,
        key: &[u8],
        value_len: usize,
    ) -> Result<Option<Vec<u8>>, KernelError> {
        Table::of(map)?.lookup(key, value_len)
    }

    fn map_update(
        &self,
        map: BorrowedFd<'_>,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), KernelError> {
        Table::of(map)?.update(key, value, flags)
    }

    fn map_delete(&self, map: BorrowedFd<'_>, key: &[u8]) -> Result<bool, KernelError> {
        Table::of(map)?.delete(key)
    }

    fn map_next_key(
        &self,
        map: BorrowedFd<'_>,
        key: Option<&[u8]>,
        key_len: usize,
    ) -> Result<Option<Vec<u8>>, KernelError> {
        Table::of(map)?.expecting(key_len, None)?.next_key(key)
    }

    fn map_entries(
        &self,
        map: BorrowedFd<'_>,
        key_len: usize,
        value_len: usize,
    ) -> Result<Entries, KernelError> {
        entries::all(&Table::of(map)?.expecting(key_len, Some(value_len))?)
    }

    fn map_update_entries(
        &self,
        map: BorrowedFd<'_>,
        entries: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<(), KernelError> {
        entries::update(&Table::of(map)?, entries)
    }

    fn map_freeze(&self, map: BorrowedFd<'_>) -> Result<(), KernelError> {
        map::freeze(map)
    }

    fn pin(&self, object: BorrowedFd<'_>, path: &Path) -> Result<(), KernelError> {
        pin::pin(object, path)
    }

    fn get_pinned(&self, path: &Path) -> Result<Option<OwnedFd>, KernelError> {
        pin::get(path)
    }

    fn unpin(&self, path: &Path) -> Result<(), KernelError> {
        absent_is_success("unlink", path, fs::remove_file(path))
    }

    fn bpffs(&self, sub: &str) -> Result<PathBuf, KernelError> {
        bpffs::directory(sub)
    }

    fn link_xdp(
        &self,
        program: BorrowedFd<'_>,
        ifindex: u32,
        mode: XdpMode,
    ) -> Result<OwnedFd, KernelError> {
        link::attach_xdp(program, ifindex, mode)
    }

    fn link_update(
        &self,
        link: BorrowedFd<'_>,
        new: BorrowedFd<'_>,
        old: BorrowedFd<'_>,
    ) -> Result<(), KernelError> {
        link::update(link, new, old)
    }

    fn link_detach(&self, link: BorrowedFd<'_>) -> Result<(), KernelError> {
        link::detach(link)
    }

    fn netlink_xdp(
        &self,
        ifindex: u32,
        program: Option<BorrowedFd<'_>>,
        mode: Option<XdpMode>,
        expect: Expect<'_>,
    ) -> Result<Option<String>, KernelError> {
        route::set_xdp(ifindex, program, mode, expect)
    }

    fn program_info(&self, program: BorrowedFd<'_>) -> Result<ProgramInfo, KernelError> {
        info::program(program)
    }

    fn map_info(&self, map: BorrowedFd<'_>) -> Result<MapInfo, KernelError> {
        info::map(map)
    }

    fn link_info(&self, link: BorrowedFd<'_>) -> Result<LinkInfo, KernelError> {
        info::link(link)
    }

    fn btf_bytes(&self, btf: BorrowedFd<'_>) -> Result<Vec<u8>, KernelError> {
        info::btf_bytes(btf)
    }

    fn ids(&self, kind: ObjectKind) -> Result<Vec<u32>, KernelError> {
        info::ids(kind)
    }

    fn open(&self, kind: ObjectKind, id: u32) -> Result<Option<OwnedFd>, KernelError> {
        info::open(kind, id)
    }

    fn query_tcx(&self, ifindex: u32, attach_type: u32) -> Result<Vec<u32>, KernelError> {
        link::query_tcx(ifindex, attach_type)
    }

    fn link_tcx(&self, program: BorrowedFd<'_>, ifindex: u32) -> Result<OwnedFd, KernelError> {
        link::attach_tcx(program, ifindex)
    }

    fn add_clsact(&self, ifindex: u32) -> Result<bool, KernelError> {
        tc::add_clsact(ifindex)
    }

    fn remove_clsact(&self, ifindex: u32) -> Result<bool, KernelError> {
        tc::remove_clsact(ifindex)
    }

    fn filters(&self, ifindex: u32) -> Result<Vec<Filter>, KernelError> {
        tc::filters(ifindex)
    }

    fn add_filter(
        &self,
        ifindex: u32,
        key: FilterKey,
        program: BorrowedFd<'_>,
        name: &str,
    ) -> Result<(), KernelError> {
        tc::add(ifindex, key, program, name)
    }

    fn replace_filter(
        &self,
        ifindex: u32,
        key: FilterKey,
        old: u32,
        program: BorrowedFd<'_>,
        name: &str,
    ) -> Result<(), KernelError> {
        tc::replace(ifindex, key, old, program, name)
    }

    fn remove_filter(
        &self,
        ifindex: u32,
        key: FilterKey,
        program_id: u32,
    ) -> Result<bool, KernelError> {
        tc::remove(ifindex, key, program_id)
    }

    fn watch_filter(
        &self,
        ifindex: u32,
        key: FilterKey,
        program_id: u32,
        clsact_too: bool,
    ) -> Result<OwnedFd, KernelError> {
        watch::start(ifindex, key, program_id, clsact_too)
    }

    fn unwatch_filter(&self, watcher: OwnedFd) -> Result<(), KernelError> {
        watch::dismiss(watcher)
    }

    fn drop_ingress(&self, ifindex: u32) -> Result<OwnedFd, KernelError> {
        const OPERATION: &str = "NFT_MSG_NEWTABLE";
        let unknown = || KernelError::new(OPERATION, format!("interface {ifindex}"), libc::ENODEV);
        let interface = self.interface_name(ifindex)?.ok_or_else(unknown)?;
        let table = format!("hoist_ingress_{ifindex}");
        netfilter::drop_ingress(&table, &interface).map_err(|refusal| {
            let refused = refusal.about(OPERATION, format!("{table} on {interface}"));
            if refused.errno == libc::EPERM {
                return refused.saying("needs CAP_NET_ADMIN, and that no other process does so");
            }
            refused
        })
    }

    fn lock(&self, name: &str) -> Result<OwnedFd, KernelError> {
        lock::named(name)
    }

    fn try_lock(&self, name: &str) -> Result<Option<OwnedFd>, KernelError> {
        lock::free(name)
    }

    fn remove_lock(&self, name: &str) -> Result<(), KernelError> {
        lock::remove(name)
    }

    fn kernel_log(&self) -> Result<LogLines, KernelError> {
        kmsg::from_now_on()
    }

    fn note(&self, directory: &str, name: &str) -> Result<Option<Vec<u8>>, KernelError> {
        note::read(directory, name)
    }

    fn leave_note(
        &self,
        directory: &str,
        name: &str,
        content: Option<&[u8]>,
    ) -> Result<(), KernelError> {
        note::leave(directory, name, content)
    }

    fn notes(&self, directory: &str) -> Result<Vec<String>, KernelError> {
        self.list_directory(&Path::new(note::ROOT).join(directory))
    }

    fn test_run(
        &self,
        program: BorrowedFd<'_>,
        spec: &TestRunSpec<'_>,
    ) -> Result<TestRun, KernelError> {
        run::test(program, spec)
    }

    fn set_mtu(&self, ifindex: u32, mtu_bytes: u32) -> Result<(), KernelError> {
        route::set_mtu(ifindex, mtu_bytes).map(drop)
    }

    fn set_feature(&self, interface: &str, feature: &str, on: bool) -> Result<(), KernelError> {
        feature::set(interface, feature, on)
    }

    fn feature(&self, interface: &str, feature: &str) -> Result<bool, KernelError> {
        feature::get(interface, feature)
    }

    fn set_threaded_napi(&self, interface: &str, on: bool) -> Result<(), KernelError> {
        napi::set_threaded(interface, on)
    }

    fn threaded_napi(&self, interface: &str) -> Result<bool, KernelError> {
        napi::threaded(interface)
    }

    fn pin_thread(&self, thread: u32, cpus: &[u32]) -> Result<(), KernelError> {
        napi::pin(thread, cpus)
    }

    fn interface_name(&self, ifindex: u32) -> Result<Option<String>, KernelError> {
        route::find_name(ifindex)
    }

    fn kernel_btf(&self) -> Result<Option<Bytes>, KernelError> {
        vmlinux::btf()
    }

    fn possible_cpus(&self) -> Result<usize, KernelError> {
        cpu::possible()
    }

    fn query_xdp(&self, ifindex: u32) -> Result<XdpSlots, KernelError> {
        route::query_xdp(ifindex)
    }

    fn network_namespace(&self) -> Result<u64, KernelError> {
        netns::current_id()
    }

    fn network_namespace_cookie(&self) -> Result<u64, KernelError> {
        netns::current_cookie()
    }

    fn make_directory(&self, path: &Path) -> Result<(), KernelError> {
        fs::create_dir_all(path).map_err(|error| KernelError::io("mkdir", path, &error))
    }

    fn list_directory(&self, path: &Path) -> Result<Vec<String>, KernelError> {
        let listed = fs::read_dir(path).and_then(|entries| {
            entries.map(|e| Ok(e?.file_name().to_string_lossy().into_owned())).collect()
        });
        match listed {
            Ok(names) => {
                let mut names: Vec<String> = names;
                names.sort();
                Ok(names)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(KernelError::io("readdir", path, &error)),
        }
    }

    fn rename_directory(&self, from: &Path, to: &Path) -> Result<(), KernelError> {
        fs::rename(from, to).map_err(|error| KernelError::io("rename", from, &error))
    }

    fn remove_directory(&self, path: &Path) -> Result<(), KernelError> {
        absent_is_success("rmdir", path, fs::remove_dir_all(path))
    }
}

fn absent_is_success(
    operation: &str,
    path: &Path,
    outcome: io::Result<()>,
) -> Result<(), KernelError> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(KernelError::io(operation, path, &error))
        }
        _ => Ok(()),
    }
}
