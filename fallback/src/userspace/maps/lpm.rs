//! Tries for longest prefix match (`kernel/bpf/lpm_trie.c`).
//!
//! A key is a number of bits (`u32`, host byte order) and as many bytes as fit the longest prefix,
//! most significant first. A node is a place in the value memory: value, then key. Nodes that only
//! tell two prefixes apart have two children and no value of their own.

use hoist_offload::attach::MapDef;

use super::flags::update;
use super::memory::Memory;
use super::slots::Slots;
use super::table::{Place, Table, World, Wrong};
use super::{Errno, Region};

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Places of the children.
    children: [Option<u32>; 2],
    bits: u32,
    /// Without a value (`LPM_TREE_NODE_FLAG_IM`).
    intermediate: bool,
}

/// Where a node is linked.
#[derive(Clone, Copy, Debug)]
enum Link {
    Root,
    Child(u32, usize),
}

/// One trie.
#[derive(Debug)]
pub(super) struct Lpm {
    memory: Memory,
    slots: Slots,
    nodes: Vec<Node>,
    root: Option<u32>,
    count: u32,
    entries: u32,
    value_size: usize,
    data_size: usize,
    /// Where the key's bytes are in a node.
    data: u64,
    stride: u64,
}

/// Bytes of the number before the prefix.
const PREFIX: usize = 4;

impl Lpm {
    pub(super) fn new(def: &MapDef) -> Result<Self, Errno> {
        let data_size = def.key_size as usize - PREFIX;
        let data = u64::from(def.value_size).next_multiple_of(8);
        let stride = data + (data_size as u64).next_multiple_of(8);
        // Each value can bring one node that has none.
        let slots = Slots::new(def.max_entries.saturating_mul(2));
        Ok(Self {
            memory: Memory::reserve(stride * u64::from(slots.capacity()))?,
            slots,
            nodes: Vec::new(),
            root: None,
            count: 0,
            entries: def.max_entries,
            value_size: def.value_size as usize,
            data_size,
            data,
            stride,
        })
    }

    /// The bits and the bytes of a key; `None` for more bits than there are.
    fn parts<'k>(&self, key: &'k [u8]) -> Option<(u32, &'k [u8])> {
        let (bits, data) = key.split_first_chunk::<PREFIX>()?;
        let bits = u32::from_ne_bytes(*bits);
        (bits as usize <= 8 * self.data_size).then_some((bits, data))
    }

    const fn value_of(&self, node: u32) -> u64 {
        node as u64 * self.stride
    }

    fn data_of(&self, node: u32) -> &[u8] {
        self.memory.bytes(self.value_of(node) + self.data, self.data_size)
    }

    fn node(&self, at: u32) -> Node {
        self.nodes[at as usize]
    }

    /// `longest_prefix_match`: how many bits a node and a key share.
    #[inline]
    fn shared(&self, at: u32, bits: u32, data: &[u8]) -> u32 {
        let limit = self.node(at).bits.min(bits);
        let mut shared = 0;
        for (ours, theirs) in self.data_of(at).iter().zip(data) {
            if shared >= limit {
                break;
            }
            let differing = ours ^ theirs;
            shared += differing.leading_zeros();
            if differing != 0 {
                break;
            }
        }
        shared.min(limit)
    }

    fn linked(&self, link: Link) -> Option<u32> {
        match link {
            Link::Root => self.root,
            Link::Child(parent, side) => self.nodes[parent as usize].children[side],
        }
    }

    fn link(&mut self, link: Link, to: Option<u32>) {
        match link {
            Link::Root => self.root = to,
            Link::Child(parent, side) => self.nodes[parent as usize].children[side] = to,
        }
    }

    /// Where a prefix is or would be: the path to it, from the root, and how many bits the node
    /// there, if there is one, shares with it.
    fn descend(&self, bits: u32, data: &[u8]) -> (Vec<(Link, u32)>, Link, u32) {
        let (mut path, mut link, mut shared) = (Vec::new(), Link::Root, 0);
        while let Some(at) = self.linked(link) {
            let node = self.node(at);
            shared = self.shared(at, bits, data);
            if node.bits != shared || node.bits == bits {
                break;
            }
            path.push((link, at));
            link = Link::Child(at, bit(data, node.bits));
        }
        (path, link, shared)
    }

    fn allocate(&mut self, bits: u32, data: &[u8]) -> Result<u32, Errno> {
        let at = self.slots.take().ok_or(Errno::ENOMEM)?;
        if self.nodes.len() <= at as usize {
            self.nodes.resize(at as usize + 1, Node::default());
        }
        self.nodes[at as usize] = Node { bits, ..Node::default() };
        let place = self.value_of(at) + self.data;
        self.memory.bytes_mut(place, self.data_size).copy_from_slice(data);
        Ok(at)
    }

    /// `trie_check_add_elem`.
    fn admit(&mut self, flags: u64) -> Result<(), Errno> {
        if flags == update::EXIST {
            return Err(Errno::ENOENT);
        }
        if self.count == self.entries {
            return Err(Errno::ENOSPC);
        }
        self.count += 1;
        Ok(())
    }

    /// `trie_lookup_elem`.
    #[inline]
    fn longest(&self, key: &[u8]) -> Option<u32> {
        let (bits, data) = self.parts(key)?;
        let (mut found, mut next) = (None, self.root);
        while let Some(at) = next {
            let node = self.node(at);
            let shared = self.shared(at, bits, data);
            if shared as usize == 8 * self.data_size {
                return Some(at);
            }
            if shared < node.bits {
                break;
            }
            if !node.intermediate {
                found = Some(at);
            }
            next = node.children[bit(data, node.bits)];
        }
        found
    }

    /// The first node of a subtree in the order of walks: more specific prefixes first.
    fn leftmost(&self, from: u32) -> u32 {
        let (mut best, mut next) = (from, Some(from));
        while let Some(at) = next {
            let node = self.node(at);
            next = node.children[0];
            if !node.intermediate {
                best = at;
                next = next.or(node.children[1]);
            }
        }
        best
    }

    /// `trie_get_next_key`.
    fn following(&self, key: Option<&[u8]>) -> Option<u32> {
        let root = self.root?;
        let Some((bits, data)) = key.and_then(|key| self.parts(key)) else {
            return Some(self.leftmost(root));
        };
        let (path, link, shared) = self.descend(bits, data);
        let there = self.linked(link).filter(|at| {
            let node = self.node(*at);
            node.bits == shared && !node.intermediate
        });
        let Some(mut at) = there else { return Some(self.leftmost(root)) };
        for (_, parent) in path.into_iter().rev() {
            let node = self.node(parent);
            if let (true, Some(right)) = (node.children[0] == Some(at), node.children[1]) {
                return Some(self.leftmost(right));
            }
            if !node.intermediate {
                return Some(parent);
            }
            at = parent;
        }
        None
    }
}

/// A bit of a key, the most significant first.
fn bit(data: &[u8], index: u32) -> usize {
    let byte = data.get(index as usize / 8).copied().unwrap_or(0);
    usize::from(byte >> (7 - index % 8) & 1)
}

impl Table for Lpm {
    fn region(&self) -> Option<Region> {
        Some(Region {
            start: self.memory.start(),
            stride: self.stride,
            value_bytes: self.value_size as u32,
            entries: self.slots.capacity(),
            permanent: false,
            readable: true,
            writable: true,
        })
    }

    fn memory(&self) -> &Memory {
        &self.memory
    }

    fn memory_mut(&mut self) -> &mut Memory {
        &mut self.memory
    }

    #[inline]
    fn check(&self, offset: u64, len: u64, _write: bool) -> Result<(), Wrong> {
        let within = offset % self.stride;
        if !self.slots.is_readable(offset / self.stride) {
            return Err(Wrong::Gone);
        }
        let bytes = self.value_size as u64;
        if within > bytes || len > bytes - within {
            let low = offset - within;
            return Err(Wrong::Outside { low, high: low + bytes });
        }
        Ok(())
    }

    #[inline]
    fn lookup(&mut self, key: &[u8], _cpu: u32) -> Option<Place> {
        self.longest(key).map(|at| Place::Value(self.value_of(at)))
    }

    /// `trie_update_elem`.
    fn update(
        &mut self,
        key: &[u8],
        value: &[u8],
        flags: u64,
        _world: &World,
    ) -> Result<(), Errno> {
        if flags > update::EXIST {
            return Err(Errno::EINVAL);
        }
        let (bits, data) = self.parts(key).ok_or(Errno::EINVAL)?;
        let (_, link, shared) = self.descend(bits, data);
        let there = self.linked(link);
        let replaced = there.filter(|at| self.node(*at).bits == shared);
        match replaced.map(|at| self.node(at)) {
            Some(node) if !node.intermediate => {
                if flags == update::NOEXIST {
                    return Err(Errno::EEXIST);
                }
            }
            _ => self.admit(flags)?,
        }
        let new = self.allocate(bits, data)?;
        let place = self.value_of(new);
        self.memory.bytes_mut(place, self.value_size).copy_from_slice(value);
        match (replaced, there) {
            (Some(old), _) => {
                self.nodes[new as usize].children = self.node(old).children;
                self.link(link, Some(new));
                self.slots.retire(old);
            }
            (None, None) => self.link(link, Some(new)),
            (None, Some(node)) if shared == bits => {
                let side = bit(self.data_of(node), shared);
                self.nodes[new as usize].children[side] = Some(node);
                self.link(link, Some(new));
            }
            (None, Some(node)) => {
                let copied = self.data_of(node).to_vec();
                let fork = self.allocate(shared, &copied)?;
                let side = bit(data, shared);
                let mut children = [Some(node); 2];
                children[side] = Some(new);
                self.nodes[fork as usize].intermediate = true;
                self.nodes[fork as usize].children = children;
                self.link(link, Some(fork));
            }
        }
        Ok(())
    }

    /// `trie_delete_elem`.
    fn delete(&mut self, key: &[u8], _world: &World) -> Result<(), Errno> {
        let (bits, data) = self.parts(key).ok_or(Errno::EINVAL)?;
        let (path, link, shared) = self.descend(bits, data);
        let at = self.linked(link).ok_or(Errno::ENOENT)?;
        let node = self.node(at);
        if node.bits != bits || node.bits != shared || node.intermediate {
            return Err(Errno::ENOENT);
        }
        self.count -= 1;
        let parent = path.last().copied();
        match (node.children, parent) {
            ([Some(_), Some(_)], _) => self.nodes[at as usize].intermediate = true,
            ([None, None], Some((above, parent))) if self.node(parent).intermediate => {
                let [left, right] = self.node(parent).children;
                let other = if left == Some(at) { right } else { left };
                self.link(above, other);
                self.slots.retire(parent);
                self.slots.retire(at);
            }
            ([left, right], _) => {
                self.link(link, left.or(right));
                self.slots.retire(at);
            }
        }
        Ok(())
    }

    fn read(&mut self, key: &[u8], value: &mut Vec<u8>) -> Result<(), Errno> {
        let at = self.longest(key).ok_or(Errno::ENOENT)?;
        value.extend_from_slice(self.memory.bytes(self.value_of(at), self.value_size));
        Ok(())
    }

    fn next_key(&self, key: Option<&[u8]>, next: &mut Vec<u8>) -> Result<(), Errno> {
        let at = self.following(key).ok_or(Errno::ENOENT)?;
        next.extend_from_slice(&self.node(at).bits.to_ne_bytes());
        next.extend_from_slice(self.data_of(at));
        Ok(())
    }

    fn is_dirty(&self) -> bool {
        self.slots.is_dirty()
    }

    fn end_run(&mut self) {
        self.slots.settle();
    }
}
