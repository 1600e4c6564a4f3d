//! Every question and order of [`Kernel`], answered from the books.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::books::{Link, Program};
use super::errno::{EBADF, EINVAL, ENODEV, ENOLINK, EOPNOTSUPP, EPERM};
use super::slots::Change;
use super::table::Table;
use super::{Event, Fake, load};
use crate::kernel::{
    Entries, Expect, Kernel, KernelError, LinkInfo, MapInfo, MapSpec, ObjectKind, ProgramInfo,
    ProgramSpec, TestRun, TestRunSpec, XdpMode, XdpSlots,
};

/// `BPF_LINK_TYPE_XDP`.
const LINK_XDP: u32 = 6;
const TCX_INGRESS: u32 = 46;
const TCX_EGRESS: u32 = 47;
const MIN_MTU: u32 = 68;
/// A network namespace has some inode number; the fake has one namespace.
const NAMESPACE: u64 = 4_026_531_840;

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
        run(table).map_err(|errno| KernelError::new(operation, format!("map {name}"), errno))
    }
}

impl Kernel for Fake {
    fn load_program(&self, spec: &ProgramSpec<'_>) -> Result<OwnedFd, KernelError> {
        let mut books = self.books();
        books.may("BPF_PROG_LOAD")?;
        let program = load::program(&books, spec)?;
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
        const OPERATION: &str = "BPF_LINK_CREATE";
        let mut books = self.books();
        books.may(OPERATION)?;
        let program = books.behind(program, ObjectKind::Program, OPERATION)?;
        let id = books.next_id();
        let change = Change {
            ifindex,
            program: Some(program),
            link: Some(id),
            mode: Some(mode),
            only_empty: false,
            expected: None,
        };
        books.change(OPERATION, change)?;
        books.links.insert(id, Link { program, ifindex, mode });
        books.hand_out((ObjectKind::Link, id))
    }

    fn link_update(
        &self,
        link: BorrowedFd<'_>,
        new: BorrowedFd<'_>,
        old: BorrowedFd<'_>,
    ) -> Result<(), KernelError> {
        const OPERATION: &str = "BPF_LINK_UPDATE";
        let mut books = self.books();
        books.may(OPERATION)?;
        let id = books.behind(link, ObjectKind::Link, OPERATION)?;
        let new = books.behind(new, ObjectKind::Program, OPERATION)?;
        let old = books.behind(old, ObjectKind::Program, OPERATION)?;
        books
            .update_link(id, new, old)
            .map_err(|errno| KernelError::new(OPERATION, format!("link {id}"), errno))
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
        const OPERATION: &str = "RTM_SETLINK";
        let mut books = self.books();
        books.may(OPERATION)?;
        let id = |fd| books.behind(fd, ObjectKind::Program, OPERATION);
        let (only_empty, expected) = match expect {
            Expect::Empty => (true, None),
            Expect::Program(old) => (false, Some(id(old)?)),
            Expect::Anything => (false, None),
        };
        let program = program.map(id).transpose()?;
        let change = Change { ifindex, program, link: None, mode, only_empty, expected };
        books.change(OPERATION, change)?;
        books.collect();
        Ok(None)
    }

    fn program_info(&self, program: BorrowedFd<'_>) -> Result<ProgramInfo, KernelError> {
        const OPERATION: &str = "BPF_OBJ_GET_INFO_BY_FD";
        let mut books = self.books();
        books.may(OPERATION)?;
        let id = books.behind(program, ObjectKind::Program, OPERATION)?;
        Ok(books.program(id)?.info.clone())
    }

    fn map_info(&self, map: BorrowedFd<'_>) -> Result<MapInfo, KernelError> {
        self.on_map("BPF_OBJ_GET_INFO_BY_FD", map, |table| Ok(table.info.clone()))
    }

    fn link_info(&self, link: BorrowedFd<'_>) -> Result<LinkInfo, KernelError> {
        const OPERATION: &str = "BPF_OBJ_GET_INFO_BY_FD";
        let mut books = self.books();
        books.may(OPERATION)?;
        let id = books.behind(link, ObjectKind::Link, OPERATION)?;
        let gone = || KernelError::new(OPERATION, format!("link {id}"), EBADF);
        let link = books.links.get(&id).ok_or_else(gone)?;
        Ok(LinkInfo {
            id,
            kind: LINK_XDP,
            program_id: link.program,
            ifindex: link.ifindex,
            ..LinkInfo::default()
        })
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
        Ok(books.ids(kind))
    }

    fn open(&self, kind: ObjectKind, id: u32) -> Result<Option<OwnedFd>, KernelError> {
        let mut books = self.books();
        books.may(&format!("BPF_{}_GET_FD_BY_ID", load::kind_name(kind)))?;
        if !books.ids(kind).contains(&id) {
            return Ok(None);
        }
        books.hand_out((kind, id)).map(Some)
    }

    fn query_tcx(&self, ifindex: u32, attach_type: u32) -> Result<Vec<u32>, KernelError> {
        const OPERATION: &str = "BPF_PROG_QUERY";
        let mut books = self.books();
        books.may(OPERATION)?;
        let object = format!("tcx on {}", books.name(ifindex));
        let refused = |errno| KernelError::new(OPERATION, object, errno);
        match (books.interfaces.get(&ifindex), attach_type) {
            _ if !books.tcx => Err(refused(EINVAL)),
            (Some(interface), TCX_INGRESS) => Ok(interface.given.tcx_ingress.clone()),
            (Some(interface), TCX_EGRESS) => Ok(interface.given.tcx_egress.clone()),
            (Some(_), _) => Err(refused(EINVAL)),
            (None, _) => Err(refused(ENODEV)),
        }
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
        const OPERATION: &str = "RTM_SETLINK";
        let mut books = self.books();
        books.may(OPERATION)?;
        let object = format!("MTU {mtu_bytes} on {}", books.name(ifindex));
        let refused = |errno| KernelError::new(OPERATION, object, errno);
        let Some(interface) = books.interfaces.get_mut(&ifindex) else {
            return Err(refused(ENODEV));
        };
        if mtu_bytes < MIN_MTU {
            return Err(refused(EINVAL).saying("mtu less than device minimum"));
        }
        if mtu_bytes > interface.given.max_mtu_bytes {
            return Err(refused(EINVAL).saying("mtu greater than device maximum"));
        }
        interface.given.mtu_bytes = mtu_bytes;
        books.journal.push(Event::Mtu { ifindex, bytes: mtu_bytes });
        Ok(())
    }

    fn set_feature(&self, interface: &str, feature: &str, on: bool) -> Result<(), KernelError> {
        const OPERATION: &str = "ETHTOOL_MSG_FEATURES_SET";
        let mut books = self.books();
        books.may(OPERATION)?;
        let object = format!("{feature} {} on {interface}", if on { "on" } else { "off" });
        let refused = |errno| KernelError::new(OPERATION, &*object, errno);
        let named = books.interfaces.values_mut().find(|i| i.given.name == interface);
        let features = &mut named.ok_or_else(|| refused(ENODEV))?.given.features;
        match features.get_mut(feature) {
            None => return Err(refused(EOPNOTSUPP).saying("bit name not found")),
            Some((now, false)) if *now != on => {
                let text = "the driver keeps this feature as it is";
                return Err(refused(EOPNOTSUPP).saying(text));
            }
            Some((now, _)) => *now = on,
        }
        let (interface, feature) = (interface.to_owned(), feature.to_owned());
        books.journal.push(Event::Feature { interface, feature, on });
        Ok(())
    }

    fn kernel_btf(&self) -> Result<Option<Vec<u8>>, KernelError> {
        Ok(self.books().kernel_btf.clone())
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
        Ok(NAMESPACE)
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

    fn remove_directory(&self, path: &Path) -> Result<(), KernelError> {
        let mut books = self.books();
        books.may("rmdir")?;
        books.remove_directory(path);
        books.collect();
        Ok(())
    }
}

impl super::books::Books {
    /// Compare and swap of a link's program.
    fn update_link(&mut self, id: u32, new: u32, old: u32) -> Result<(), i32> {
        let link = self.links.get_mut(&id).ok_or(EBADF)?;
        if link.ifindex == 0 {
            return Err(ENOLINK);
        }
        if link.program != old {
            return Err(EPERM);
        }
        let (from, to) = (self.programs.get(&old), self.programs.get(&new));
        let alike = |p: &Program| (p.info.kind, p.expected_attach_type);
        if from.map(alike) != to.map(alike) {
            return Err(EINVAL);
        }
        link.program = new;
        let (ifindex, mode) = (link.ifindex, link.mode);
        if let Some(slot) = self.interfaces.get_mut(&ifindex).and_then(|i| i.slots.get_mut(&mode)) {
            slot.program = new;
        }
        self.journal.push(Event::Attached { ifindex, mode, program: new, link: Some(id) });
        Ok(())
    }
}
