//! Every question and order of [`Kernel`], answered from the books.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::books::Program;
use super::errno::{EBADF, EDEADLK, EINVAL, ENODEV, EPERM};
use super::table::Table;
use super::{Event, Fake, links, load, settings, tc};
use crate::kernel::{
    Bytes, Entries, Expect, Filter, FilterKey, Kernel, KernelError, LinkInfo, LogLines, MapInfo,
    MapSpec, ObjectKind, ProgramInfo, ProgramSpec, TestRun, TestRunSpec, XdpMode, XdpSlots,
};

/// After this a lock that is still held is held by the one who waits for it.
const LONGEST_HOLD: Duration = Duration::from_secs(5);

impl Fake {
    /// Runs a map operation, turning its error number into an error that names the map.
    fn on_map<T>(
        &self,
        operation: &str,
        map: BorrowedFd<'_>,
        run: impl FnOnce(&mut Table) -> Result<T, i32>,
    ) -> Result<T, KernelError> {
        let mut books = self.books();
        books.may(operation)?;
        let id = books.behind(map, ObjectKind::Map, operation)?;
        let gone = || KernelError::new(operation, format!("map {id}"), EBADF);
        let table = books.maps.get_mut(&id).ok_or_else(gone)?;
        let name = table.info.name.clone();
        if table.orphaned {
            return Err(KernelError::new(operation, format!("map {name}"), ENODEV));
        }
        run(table).map_err(|errno| KernelError::new(operation, format!("map {name}"), errno))
    }
}

impl Kernel for Fake {
    fn load_program(&self, spec: &ProgramSpec<'_>) -> Result<OwnedFd, KernelError> {
        let mut books = self.books();
        books.may("BPF_PROG_LOAD")?;
        let program = load::program(&mut books, spec)?;
        let id = books.next_id();
        let mut info = program.info;
        info.id = id;
        books.journal.push(Event::Loaded { name: info.name.clone(), program: id });
        books.programs.insert(id, Program { info, ..program });
        books.hand_out((ObjectKind::Program, id))
    }

    fn load_btf(&self, btf: &[u8]) -> Result<OwnedFd, KernelError> {
        let mut books = self.books();
        books.may("BPF_BTF_LOAD")?;
        // `struct btf_header` begins with this magic number.
        if btf.first_chunk() != Some(&0xeb9f_u16.to_ne_bytes()) {
            let object = format!("BTF of {} bytes", btf.len());
            return Err(KernelError::new("BPF_BTF_LOAD", object, EINVAL));
        }
        let id = books.next_id();
        books.btfs.insert(id, btf.to_vec());
        books.hand_out((ObjectKind::Btf, id))
    }

    fn create_map(&self, spec: &MapSpec<'_>) -> Result<OwnedFd, KernelError> {
        let mut books = self.books();
        books.may("BPF_MAP_CREATE")?;
        let info = load::map_info(&mut books, spec)?;
        let (id, cpus) = (info.id, books.cpus);
        let table = Table::new(info, cpus).map_err(|errno| {
            KernelError::new("BPF_MAP_CREATE", format!("map {}", spec.name), errno)
        })?;
        books.maps.insert(id, table);
        books.hand_out((ObjectKind::Map, id))
    }

    fn map_lookup(
        &self,
        map: BorrowedFd<'_>,
        key: &[u8],
        value_len: usize,
    ) -> Result<Option<Vec<u8>>, KernelError> {
        self.on_map("BPF_MAP_LOOKUP_ELEM", map, |table| {
            table.fits(key.len(), Some(value_len))?;
            table.lookup(key)
        })
    }

    fn map_update(
        &self,
        map: BorrowedFd<'_>,
        key: &[u8],
        value: &[u8],
        flags: u64,
    ) -> Result<(), KernelError> {
        let named = value.first_chunk().map(|fd| i32::from_ne_bytes(*fd));
        let object = named.and_then(|fd| self.books().by_number(fd));
        self.on_map("BPF_MAP_UPDATE_ELEM", map, |table| {
            table.fits(key.len(), Some(value.len()))?;
            table.update(key, value, flags, object)
        })
    }

    fn map_update_entries(
        &self,
        map: BorrowedFd<'_>,
        entries: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<(), KernelError> {
        entries.iter().try_for_each(|(key, value)| self.map_update(map, key, value, 0))
    }

    fn map_delete(&self, map: BorrowedFd<'_>, key: &[u8]) -> Result<bool, KernelError> {
        self.on_map("BPF_MAP_DELETE_ELEM", map, |table| {
            table.fits(key.len(), None)?;
            table.delete(key)
        })
    }

    fn map_next_key(
        &self,
        map: BorrowedFd<'_>,
        key: Option<&[u8]>,
        key_len: usize,
    ) -> Result<Option<Vec<u8>>, KernelError> {
        self.on_map("BPF_MAP_GET_NEXT_KEY", map, |table| {
            table.fits(key.map_or(key_len, <[u8]>::len), None)?;
            table.next_key(key)
        })
    }

    fn map_entries(
        &self,
        map: BorrowedFd<'_>,
        key_len: usize,
        value_len: usize,
    ) -> Result<Entries, KernelError> {
        self.on_map("BPF_MAP_LOOKUP_BATCH", map, |table| {
            table.fits(key_len, Some(value_len))?;
            let mut entries = Entries::new();
            let mut key = table.next_key(None)?;
            while let Some(current) = key {
                key = table.next_key(Some(&current))?;
                if let Some(value) = table.entry(&current)? {
                    entries.push((current, value));
                }
            }
            Ok(entries)
        })
    }

    fn map_freeze(&self, map: BorrowedFd<'_>) -> Result<(), KernelError> {
        self.on_map("BPF_MAP_FREEZE", map, Table::freeze)
    }

    fn pin(&self, object: BorrowedFd<'_>, path: &Path) -> Result<(), KernelError> {
        let mut books = self.books();
        books.may("BPF_OBJ_PIN")?;
        let refused = || KernelError::new("BPF_OBJ_PIN", path.display().to_string(), EBADF);
        let object = books.any_behind(object).ok_or_else(refused)?;
        books.pin(object, path)
    }

    fn get_pinned(&self, path: &Path) -> Result<Option<OwnedFd>, KernelError> {
        let mut books = self.books();
        books.may("BPF_OBJ_GET")?;
        books.get_pinned(path)
    }

    fn unpin(&self, path: &Path) -> Result<(), KernelError> {
        let mut books = self.books();
        books.may("unlink")?;
        books.unpin(path);
        books.collect();
        Ok(())
    }

    fn bpffs(&self, sub: &str) -> Result<PathBuf, KernelError> {
        let mut books = self.books();
        books.may("mount bpf on")?;
        books.bpffs(sub)
    }

    fn link_xdp(
        &self,
        program: BorrowedFd<'_>,
        ifindex: u32,
        mode: XdpMode,
    ) -> Result<OwnedFd, KernelError> {
        links::create(&mut self.books(), program, ifindex, mode)
    }

    fn link_update(
        &self,
        link: BorrowedFd<'_>,
        new: BorrowedFd<'_>,
        old: BorrowedFd<'_>,
    ) -> Result<(), KernelError> {
        links::update(&mut self.books(), link, new, old)
    }

    fn link_detach(&self, link: BorrowedFd<'_>) -> Result<(), KernelError> {
        let mut books = self.books();
        books.may("BPF_LINK_DETACH")?;
        let id = books.behind(link, ObjectKind::Link, "BPF_LINK_DETACH")?;
        books.release(id);
        Ok(())
    }

    fn netlink_xdp(
        &self,
        ifindex: u32,
        program: Option<BorrowedFd<'_>>,
        mode: Option<XdpMode>,
        expect: Expect<'_>,
    ) -> Result<Option<String>, KernelError> {
        links::netlink(&mut self.books(), ifindex, program, mode, expect)
    }

    fn program_info(&self, program: BorrowedFd<'_>) -> Result<ProgramInfo, KernelError> {
        const OPERATION: &str = "BPF_OBJ_GET_INFO_BY_FD";
        let mut books = self.books();
        books.may(OPERATION)?;
        let id = books.behind(program, ObjectKind::Program, OPERATION)?;
        let program = books.program(id)?;
        if program.orphaned {
            return Err(KernelError::new(OPERATION, "program", ENODEV));
        }
        Ok(program.info.clone())
    }

    fn map_info(&self, map: BorrowedFd<'_>) -> Result<MapInfo, KernelError> {
        self.on_map("BPF_OBJ_GET_INFO_BY_FD", map, |table| Ok(table.info.clone()))
    }

    fn link_info(&self, link: BorrowedFd<'_>) -> Result<LinkInfo, KernelError> {
        links::info(&mut self.books(), link)
    }

    fn btf_bytes(&self, btf: BorrowedFd<'_>) -> Result<Vec<u8>, KernelError> {
        const OPERATION: &str = "BPF_OBJ_GET_INFO_BY_FD";
        let books = self.books();
        let id = books.behind(btf, ObjectKind::Btf, OPERATION)?;
        let gone = || KernelError::new(OPERATION, format!("BTF {id}"), EBADF);
        books.btfs.get(&id).cloned().ok_or_else(gone)
    }

    fn ids(&self, kind: ObjectKind) -> Result<Vec<u32>, KernelError> {
        let mut books = self.books();
        books.may(&format!("BPF_{}_GET_NEXT_ID", load::kind_name(kind)))?;
        Ok(books.told(kind))
    }

    fn open(&self, kind: ObjectKind, id: u32) -> Result<Option<OwnedFd>, KernelError> {
        let mut books = self.books();
        books.may(&format!("BPF_{}_GET_FD_BY_ID", load::kind_name(kind)))?;
        if !books.told(kind).contains(&id) {
            return Ok(None);
        }
        books.hand_out((kind, id)).map(Some)
    }

    fn query_tcx(&self, ifindex: u32, attach_type: u32) -> Result<Vec<u32>, KernelError> {
        settings::query_tcx(&mut self.books(), ifindex, attach_type)
    }

    fn link_tcx(&self, program: BorrowedFd<'_>, ifindex: u32) -> Result<OwnedFd, KernelError> {
        tc::link(&mut self.books(), program, ifindex)
    }

    fn add_clsact(&self, ifindex: u32) -> Result<bool, KernelError> {
        tc::add_clsact(&mut self.books(), ifindex)
    }

    fn remove_clsact(&self, ifindex: u32) -> Result<bool, KernelError> {
        tc::remove_clsact(&mut self.books(), ifindex)
    }

    fn filters(&self, ifindex: u32) -> Result<Vec<Filter>, KernelError> {
        tc::filters(&mut self.books(), ifindex)
    }

    fn add_filter(
        &self,
        ifindex: u32,
        key: FilterKey,
        program: BorrowedFd<'_>,
        name: &str,
    ) -> Result<(), KernelError> {
        tc::add(&mut self.books(), ifindex, key, program, name)
    }

    fn replace_filter(
        &self,
        ifindex: u32,
        key: FilterKey,
        old: u32,
        program: BorrowedFd<'_>,
        name: &str,
    ) -> Result<(), KernelError> {
        tc::replace(&mut self.books(), ifindex, key, old, program, name)
    }

    fn remove_filter(
        &self,
        ifindex: u32,
        key: FilterKey,
        program_id: u32,
    ) -> Result<bool, KernelError> {
        tc::remove(&mut self.books(), ifindex, key, program_id)
    }

    fn watch_filter(
        &self,
        ifindex: u32,
        key: FilterKey,
        program_id: u32,
        clsact_too: bool,
    ) -> Result<OwnedFd, KernelError> {
        tc::watch(&mut self.books(), ifindex, key, program_id, clsact_too)
    }

    fn unwatch_filter(&self, watcher: OwnedFd) -> Result<(), KernelError> {
        tc::unwatch(&mut self.books(), watcher)
    }

    fn drop_ingress(&self, ifindex: u32) -> Result<OwnedFd, KernelError> {
        const OPERATION: &str = "NFT_MSG_NEWTABLE";
        let mut books = self.books();
        books.may(OPERATION)?;
        let refused = |errno| KernelError::new(OPERATION, format!("interface {ifindex}"), errno);
        if !books.interfaces.contains_key(&ifindex) {
            return Err(refused(ENODEV));
        }
        // Like the kernel's table, a lock of the books ends with its descriptor.
        tc::lock(&mut books, &format!("ingress of {ifindex}"))?.ok_or_else(|| refused(EPERM))
    }

    fn lock(&self, name: &str) -> Result<OwnedFd, KernelError> {
        let deadline = Instant::now() + LONGEST_HOLD;
        while Instant::now() < deadline {
            if let Some(taken) = tc::lock(&mut self.books(), name)? {
                return Ok(taken);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let refused = KernelError::new("flock", name, EDEADLK);
        Err(refused.saying("nobody releases it: the kernel would wait for ever"))
    }

    fn try_lock(&self, name: &str) -> Result<Option<OwnedFd>, KernelError> {
        tc::lock(&mut self.books(), name)
    }

    fn remove_lock(&self, _name: &str) -> Result<(), KernelError> {
        self.books().may("unlink")
    }

    fn kernel_log(&self) -> Result<LogLines, KernelError> {
        let mut books = self.books();
        books.may("open")?;
        let (mut at, log) = (books.log.lines().len(), books.log.clone());
        Ok(Box::new(std::iter::from_fn(move || {
            let line = log.lines().get(at).cloned()?;
            at += 1;
            Some(line)
        })))
    }

    fn note(&self, directory: &str, name: &str) -> Result<Option<Vec<u8>>, KernelError> {
        let mut books = self.books();
        books.may("read")?;
        Ok(books.notes.get(&(directory.to_owned(), name.to_owned())).cloned())
    }

    fn leave_note(
        &self,
        directory: &str,
        name: &str,
        content: Option<&[u8]>,
    ) -> Result<(), KernelError> {
        let mut books = self.books();
        let key = (directory.to_owned(), name.to_owned());
        match content {
            Some(content) => {
                books.may("write")?;
                books.notes.insert(key, content.to_vec());
            }
            None => {
                books.may("unlink")?;
                books.notes.remove(&key);
            }
        }
        Ok(())
    }

    fn notes(&self, directory: &str) -> Result<Vec<String>, KernelError> {
        let mut books = self.books();
        books.may("readdir")?;
        let here = books.notes.keys().filter(|(within, _)| within == directory);
        Ok(here.map(|(_, name)| name.clone()).collect())
    }

    fn test_run(
        &self,
        program: BorrowedFd<'_>,
        spec: &TestRunSpec<'_>,
    ) -> Result<TestRun, KernelError> {
        const OPERATION: &str = "BPF_PROG_TEST_RUN";
        let mut books = self.books();
        books.may(OPERATION)?;
        let id = books.behind(program, ObjectKind::Program, OPERATION)?;
        load::run(&books, books.program(id)?, spec)
    }

    fn set_mtu(&self, ifindex: u32, mtu_bytes: u32) -> Result<(), KernelError> {
        settings::set_mtu(&mut self.books(), ifindex, mtu_bytes)
    }

    fn set_feature(&self, interface: &str, feature: &str, on: bool) -> Result<(), KernelError> {
        settings::set_feature(&mut self.books(), interface, feature, on)
    }

    fn feature(&self, interface: &str, feature: &str) -> Result<bool, KernelError> {
        settings::feature(&mut self.books(), interface, feature)
    }

    fn set_threaded_napi(&self, interface: &str, on: bool) -> Result<(), KernelError> {
        settings::set_threaded_napi(&mut self.books(), interface, on)
    }

    fn threaded_napi(&self, interface: &str) -> Result<bool, KernelError> {
        settings::threaded_napi(&mut self.books(), interface)
    }

    fn pin_thread(&self, thread: u32, cpus: &[u32]) -> Result<(), KernelError> {
        let mut books = self.books();
        books.may("sched_setaffinity")?;
        books.journal.push(Event::ThreadPinned { thread, cpus: cpus.to_vec() });
        Ok(())
    }

    fn interface_name(&self, ifindex: u32) -> Result<Option<String>, KernelError> {
        let mut books = self.books();
        books.may("RTM_GETLINK")?;
        Ok(books.interfaces.get(&ifindex).map(|interface| interface.given.name.clone()))
    }

    fn kernel_btf(&self) -> Result<Option<Bytes>, KernelError> {
        Ok(self.books().kernel_btf.clone().map(|bytes| Box::new(bytes) as Bytes))
    }

    fn possible_cpus(&self) -> Result<usize, KernelError> {
        Ok(self.books().cpus)
    }

    fn query_xdp(&self, ifindex: u32) -> Result<XdpSlots, KernelError> {
        let mut books = self.books();
        books.may("RTM_GETLINK")?;
        let interface = books.interfaces.get(&ifindex);
        let gone = || KernelError::new("RTM_GETLINK", format!("interface {ifindex}"), ENODEV);
        interface.map(super::Interface::xdp).ok_or_else(gone)
    }

    fn network_namespace(&self) -> Result<u64, KernelError> {
        Ok(self.books().namespace)
    }

    fn network_namespace_cookie(&self) -> Result<u64, KernelError> {
        Ok(self.books().namespace)
    }

    fn make_directory(&self, path: &Path) -> Result<(), KernelError> {
        let mut books = self.books();
        books.may("mkdir")?;
        books.make_directory(path)
    }

    fn list_directory(&self, path: &Path) -> Result<Vec<String>, KernelError> {
        let mut books = self.books();
        books.may("readdir")?;
        Ok(books.list_directory(path))
    }

    fn rename_directory(&self, from: &Path, to: &Path) -> Result<(), KernelError> {
        let mut books = self.books();
        books.may("rename")?;
        books.rename_directory(from, to)
    }

    fn remove_directory(&self, path: &Path) -> Result<(), KernelError> {
        let mut books = self.books();
        books.may("rmdir")?;
        books.remove_directory(path);
        books.collect();
        Ok(())
    }
}
