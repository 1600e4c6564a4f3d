//! Which entry of an LRU map goes when there is no room (`kernel/bpf/bpf_lru_list.c`).
//!
//! The kernel's lists are kept as they are, because what they evict can be seen: an active and an
//! inactive list with a reference bit for each entry, and in front of them, for each CPU, the
//! entries that were inserted last. Entries are nodes with numbers; where their values lie is the
//! table's business.

/// Entries that a CPU takes from the common list at once, at most (`LOCAL_FREE_TARGET`).
const LOCAL_FREE_TARGET: u32 = 128;
/// Entries looked at in one turn (`LOCAL_NR_SCANS`, `PERCPU_NR_SCANS`).
const LOCAL_SCANS: u32 = 128;
const PER_CPU_SCANS: u32 = 4;
/// Entries evicted at once from a CPU's own list (`PERCPU_FREE_TARGET`).
const PER_CPU_FREE_TARGET: u32 = 4;

/// The list that a node is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Active,
    Inactive,
    Free,
    LocalFree,
    LocalPending,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    previous: u32,
    next: u32,
    list: In,
    referenced: bool,
    cpu: u16,
}

/// `struct bpf_lru_list`: heads are nodes too.
#[derive(Clone, Copy, Debug)]
struct List {
    active: u32,
    inactive: u32,
    free: u32,
    active_count: u32,
    inactive_count: u32,
    /// Where the next look at the inactive list begins.
    rotation: u32,
}

/// `struct bpf_lru_locallist`.
#[derive(Clone, Copy, Debug)]
struct Local {
    free: u32,
    pending: u32,
    next_steal: usize,
}

/// `struct bpf_lru`.
#[derive(Debug)]
pub(super) struct Lru {
    nodes: Vec<Node>,
    /// One for all CPUs, or one for each (`BPF_F_NO_COMMON_LRU`).
    lists: Vec<List>,
    /// For each CPU, where the list is common.
    locals: Vec<Local>,
    target_free: u32,
    scans: u32,
}

impl Lru {
    /// The lists of `entries` free nodes; with `own_lists`, dealt out to the CPUs.
    pub(super) fn new(entries: u32, cpus: u32, own_lists: bool) -> Self {
        let mut lru = Self {
            nodes: Vec::new(),
            lists: Vec::new(),
            locals: Vec::new(),
            target_free: (entries / cpus / 2).clamp(1, LOCAL_FREE_TARGET),
            scans: if own_lists { PER_CPU_SCANS } else { LOCAL_SCANS },
        };
        let node = Node { previous: 0, next: 0, list: In::Free, referenced: false, cpu: 0 };
        lru.nodes.resize(entries as usize, node);
        for _ in 0..if own_lists { cpus } else { 1 } {
            let (active, inactive, free) = (lru.head(), lru.head(), lru.head());
            let (active_count, inactive_count) = (0, 0);
            let rotation = inactive;
            let list = List { active, inactive, free, active_count, inactive_count, rotation };
            lru.lists.push(list);
        }
        if !own_lists {
            for cpu in 0..cpus as usize {
                let (free, pending) = (lru.head(), lru.head());
                lru.locals.push(Local { free, pending, next_steal: cpu });
            }
        }
        let share = if own_lists { (entries / cpus).max(1) } else { entries };
        for node in 0..entries {
            let list = (node / share).min(lru.lists.len() as u32 - 1);
            lru.nodes[node as usize].cpu = if own_lists { list as u16 } else { 0 };
            lru.link(node, lru.lists[list as usize].free);
        }
        lru
    }

    /// `bpf_lru_node_set_ref`.
    #[inline]
    pub(super) fn refer(&mut self, node: u32) {
        self.nodes[node as usize].referenced = true;
    }

    /// `bpf_lru_pop_free`: a node for a new entry. What had to go for it is given to `evict`.
    pub(super) fn pop(&mut self, cpu: u32, evict: &mut dyn FnMut(u32)) -> Option<u32> {
        if self.locals.is_empty() { self.pop_own(cpu, evict) } else { self.pop_common(cpu, evict) }
    }

    /// `bpf_lru_push_free`: the entry was deleted.
    pub(super) fn push(&mut self, node: u32) {
        let Node { list, cpu, .. } = self.nodes[node as usize];
        if list == In::LocalPending {
            self.nodes[node as usize].list = In::LocalFree;
            self.nodes[node as usize].referenced = false;
            self.shift(node, self.locals[cpu as usize].free);
        } else {
            let list = if self.locals.is_empty() { cpu as usize } else { 0 };
            self.change(list, node, In::Free);
        }
    }

    /// `bpf_percpu_lru_pop_free`.
    fn pop_own(&mut self, cpu: u32, evict: &mut dyn FnMut(u32)) -> Option<u32> {
        let list = cpu as usize;
        self.rotate(list);
        let free = self.lists[list].free;
        if self.is_empty(free) {
            self.shrink(list, PER_CPU_FREE_TARGET, free, In::Free, evict);
        }
        let node = self.first(free)?;
        self.change(list, node, In::Inactive);
        Some(node)
    }

    /// `bpf_common_lru_pop_free`.
    fn pop_common(&mut self, cpu: u32, evict: &mut dyn FnMut(u32)) -> Option<u32> {
        let cpu = cpu as usize;
        let node = self.pop_local_free(cpu).or_else(|| {
            self.refill(cpu, evict);
            self.pop_local_free(cpu)
        });
        if let Some(node) = node {
            self.add_pending(cpu, node);
            return Some(node);
        }
        let first = self.locals[cpu].next_steal;
        let mut steal = first;
        let stolen = loop {
            let node = self.pop_local_free(steal).or_else(|| self.pop_pending(steal, evict));
            steal = (steal + 1) % self.locals.len();
            if node.is_some() || steal == first {
                break node;
            }
        };
        self.locals[cpu].next_steal = steal;
        let node = stolen?;
        self.add_pending(cpu, node);
        Some(node)
    }

    /// `bpf_lru_list_pop_free_to_local`.
    fn refill(&mut self, cpu: usize, evict: &mut dyn FnMut(u32)) {
        let Local { free, pending, .. } = self.locals[cpu];
        while let Some(node) = self.last(pending) {
            let to = if self.nodes[node as usize].referenced { In::Active } else { In::Inactive };
            self.count(0, to, 1);
            self.nodes[node as usize].list = to;
            self.nodes[node as usize].referenced = false;
            self.shift(node, self.head_of(0, to));
        }
        self.rotate(0);
        let mut taken = 0;
        while taken < self.target_free {
            let Some(node) = self.first(self.lists[0].free) else { break };
            self.free_node(0, node, free, In::LocalFree);
            taken += 1;
        }
        if taken < self.target_free {
            self.shrink(0, self.target_free - taken, free, In::LocalFree, evict);
        }
    }

    /// `__local_list_pop_free`.
    fn pop_local_free(&mut self, cpu: usize) -> Option<u32> {
        let node = self.first(self.locals[cpu].free)?;
        self.unlink(node);
        Some(node)
    }

    /// `__local_list_pop_pending`: the oldest without a reference, else the oldest.
    fn pop_pending(&mut self, cpu: usize, evict: &mut dyn FnMut(u32)) -> Option<u32> {
        let pending = self.locals[cpu].pending;
        let mut at = self.nodes[pending as usize].previous;
        while at != pending && self.nodes[at as usize].referenced {
            at = self.nodes[at as usize].previous;
        }
        let node = if at == pending { self.last(pending)? } else { at };
        evict(node);
        self.unlink(node);
        Some(node)
    }

    /// `__local_list_add_pending`.
    fn add_pending(&mut self, cpu: usize, node: u32) {
        let entry = &mut self.nodes[node as usize];
        (entry.cpu, entry.list, entry.referenced) = (cpu as u16, In::LocalPending, false);
        self.link(node, self.locals[cpu].pending);
    }

    /// `__bpf_lru_list_rotate`.
    fn rotate(&mut self, list: usize) {
        if self.lists[list].inactive_count < self.lists[list].active_count {
            self.rotate_active(list);
        }
        self.rotate_inactive(list);
    }

    /// `__bpf_lru_list_rotate_active`: from the tail, those without a reference become inactive.
    fn rotate_active(&mut self, list: usize) {
        let head = self.lists[list].active;
        let first = self.nodes[head as usize].next;
        let mut node = self.nodes[head as usize].previous;
        let mut scanned = 0;
        while node != head {
            let Node { previous, referenced, .. } = self.nodes[node as usize];
            self.change(list, node, if referenced { In::Active } else { In::Inactive });
            scanned += 1;
            if scanned == self.scans || node == first {
                break;
            }
            node = previous;
        }
    }

    /// `__bpf_lru_list_rotate_inactive`: from where it ended last time, those with a reference become
    /// active.
    fn rotate_inactive(&mut self, list: usize) {
        let head = self.lists[list].inactive;
        if self.is_empty(head) {
            return;
        }
        let mut last = self.nodes[self.lists[list].rotation as usize].next;
        if last == head {
            last = self.nodes[last as usize].next;
        }
        let mut at = self.lists[list].rotation;
        let mut next = head;
        let mut scanned = 0;
        while scanned < self.scans {
            if at == head {
                at = self.nodes[at as usize].previous;
                continue;
            }
            next = self.nodes[at as usize].previous;
            if self.nodes[at as usize].referenced {
                self.change(list, at, In::Active);
            }
            if at == last {
                break;
            }
            at = next;
            scanned += 1;
        }
        self.lists[list].rotation = next;
    }

    /// `__bpf_lru_list_shrink`: evicts inactive nodes without a reference; where there is none, the
    /// oldest of the inactive or else of the active ones.
    fn shrink(
        &mut self,
        list: usize,
        target: u32,
        free: u32,
        freed: In,
        evict: &mut dyn FnMut(u32),
    ) {
        let head = self.lists[list].inactive;
        let mut node = self.nodes[head as usize].previous;
        let (mut evicted, mut scanned) = (0, 0);
        while node != head {
            let Node { previous, referenced, .. } = self.nodes[node as usize];
            if referenced {
                self.change(list, node, In::Active);
            } else {
                evict(node);
                self.free_node(list, node, free, freed);
                evicted += 1;
                if evicted == target {
                    break;
                }
            }
            scanned += 1;
            if scanned == self.scans {
                break;
            }
            node = previous;
        }
        if evicted == 0 {
            let oldest = self.last(self.lists[list].inactive);
            if let Some(node) = oldest.or_else(|| self.last(self.lists[list].active)) {
                evict(node);
                self.free_node(list, node, free, freed);
            }
        }
    }

    /// `__bpf_lru_node_move_to_free`: the reference stays as it was.
    fn free_node(&mut self, list: usize, node: u32, free: u32, freed: In) {
        self.leave(list, node);
        self.nodes[node as usize].list = freed;
        self.shift(node, free);
    }

    /// `__bpf_lru_node_move`.
    fn change(&mut self, list: usize, node: u32, to: In) {
        self.leave(list, node);
        self.count(list, to, 1);
        self.nodes[node as usize].list = to;
        self.nodes[node as usize].referenced = false;
        self.shift(node, self.head_of(list, to));
    }

    fn leave(&mut self, list: usize, node: u32) {
        if self.lists[list].rotation == node {
            self.lists[list].rotation = self.nodes[node as usize].previous;
        }
        self.count(list, self.nodes[node as usize].list, -1);
    }

    fn count(&mut self, list: usize, which: In, by: i32) {
        let list = &mut self.lists[list];
        let count = match which {
            In::Active => &mut list.active_count,
            In::Inactive => &mut list.inactive_count,
            _ => return,
        };
        *count = count.wrapping_add_signed(by);
    }

    fn head_of(&self, list: usize, which: In) -> u32 {
        match which {
            In::Active => self.lists[list].active,
            In::Inactive => self.lists[list].inactive,
            _ => self.lists[list].free,
        }
    }

    fn head(&mut self) -> u32 {
        let at = self.nodes.len() as u32;
        let list = In::Free;
        self.nodes.push(Node { previous: at, next: at, list, referenced: false, cpu: 0 });
        at
    }

    fn is_empty(&self, head: u32) -> bool {
        self.nodes[head as usize].next == head
    }

    fn first(&self, head: u32) -> Option<u32> {
        let next = self.nodes[head as usize].next;
        (next != head).then_some(next)
    }

    fn last(&self, head: u32) -> Option<u32> {
        let previous = self.nodes[head as usize].previous;
        (previous != head).then_some(previous)
    }

    /// Puts a node behind a head.
    fn link(&mut self, node: u32, head: u32) {
        let next = self.nodes[head as usize].next;
        self.nodes[node as usize].next = next;
        self.nodes[node as usize].previous = head;
        self.nodes[next as usize].previous = node;
        self.nodes[head as usize].next = node;
    }

    fn unlink(&mut self, node: u32) {
        let Node { previous, next, .. } = self.nodes[node as usize];
        self.nodes[previous as usize].next = next;
        self.nodes[next as usize].previous = previous;
    }

    fn shift(&mut self, node: u32, head: u32) {
        self.unlink(node);
        self.link(node, head);
    }
}
