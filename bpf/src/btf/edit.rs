//! Adding types and changing the few words that passes change. Ids and string offsets that exist
//! stay what they are.

use std::collections::{BTreeSet, HashMap};

use super::raw::{self, TYPE, u32_at};
use super::{Btf, Kind, Type};

/// Offset of the word that holds kind, count and linkage.
const INFO: usize = 4;
/// Linkages of functions.
const STATIC: u32 = 0;
const GLOBAL: u32 = 1;

/// What became of another object's types and strings in [`Btf::import`].
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// New type ids by old ones.
    pub types: HashMap<u32, u32>,
    /// New string offsets by old ones.
    pub strings: HashMap<u32, u32>,
}

impl Btf {
    /// Adds types, given as the words of the type section, and strings (each with its NUL) at the
    /// ends of their sections.
    fn extend(&mut self, types: &[u32], strings: &[u8]) {
        let at = self.strings;
        let bytes: Vec<u8> = types.iter().flat_map(|w| w.to_ne_bytes()).collect();
        self.bytes.splice(at..at, bytes.iter().copied());
        self.strings += bytes.len();
        let end = self.strings + self.strings_len;
        self.bytes.splice(end..end, strings.iter().copied());
        self.strings_len += strings.len();
        raw::set_lengths(&mut self.bytes, bytes.len() as u32, self.strings_len as u32);
    }

    /// Adds one type; gives its id.
    fn append_type(&mut self, words: &[u32]) -> u32 {
        self.offsets.push(self.strings as u32);
        self.extend(words, &[]);
        self.offsets.len() as u32
    }

    /// Adds a string; gives its offset. A string that is there already is added again. What follows a
    /// NUL in `text` is dropped.
    pub fn append_string(&mut self, text: &str) -> u32 {
        let at = self.strings_len as u32;
        let text = text.split('\0').next().unwrap_or_default();
        self.extend(&[], &[text.as_bytes(), &[0]].concat());
        at
    }

    /// Adds a global variable of type `type_id` and its name; gives its id and the name's offset.
    pub(crate) fn append_variable(&mut self, name: &str, type_id: u32) -> (u32, u32) {
        let name = self.append_string(name);
        (self.append_type(&[name, (Kind::Var as u32) << 24, type_id, GLOBAL]), name)
    }

    /// Adds a prototype: the id of the result's type (0 for `void`), then name and type id of each
    /// parameter. Gives its id. The kernel wants parameters named (`btf_func_check`).
    pub fn append_prototype(&mut self, result: u32, params: &[(&str, u32)]) -> u32 {
        let mut words = vec![0, (Kind::FuncProto as u32) << 24 | params.len() as u32, result];
        for (name, type_id) in params {
            words.extend([self.append_string(name), *type_id]);
        }
        self.append_type(&words)
    }

    /// Adds a static function of that name (a C identifier) with the prototype `proto`; gives its
    /// id.
    pub fn append_function(&mut self, name: &str, proto: u32) -> u32 {
        let name = self.append_string(name);
        self.append_type(&[name, (Kind::Func as u32) << 24 | STATIC, proto])
    }

    /// Makes every global function static, so that the verifier follows it from its callers instead
    /// of judging it by its types. Declarations of kernel functions stay.
    pub fn make_functions_static(&mut self) {
        let global = |t: &Type<'_>| t.kind() == Kind::Func && t.linkage() == Some(GLOBAL);
        let infos: Vec<usize> =
            self.types().filter(global).map(|t| t.section_offset() + INFO).collect();
        for at in infos {
            self.set_word(at, (Kind::Func as u32) << 24 | STATIC);
        }
    }

    /// Makes one function static; anything but a function stays what it is.
    pub fn make_function_static(&mut self, id: u32) {
        let function = self.type_by_id(id).filter(|t| t.kind() == Kind::Func);
        if let Some(at) = function.map(|t| t.section_offset() + INFO) {
            self.set_word(at, (Kind::Func as u32) << 24 | STATIC);
        }
    }

    /// Gives each struct named `from`, and its forward declarations, the name `to`; how many there
    /// were. Strings are shared, so the old one stays for others that use it.
    pub fn rename_struct(&mut self, from: &str, to: &str) -> usize {
        let named = |t: &Type<'_>| matches!(t.kind(), Kind::Struct | Kind::Fwd) && t.is_named(from);
        let names: Vec<usize> = self.types().filter(named).map(Type::section_offset).collect();
        if !names.is_empty() {
            let name = self.append_string(to);
            for &at in &names {
                self.set_word(at, name);
            }
        }
        names.len()
    }

    /// Copies types of another object with everything that they refer to, and strings. Roots that
    /// the other object does not have are left out.
    pub fn import(
        &mut self,
        other: &Self,
        roots: impl IntoIterator<Item = u32>,
        strings: impl IntoIterator<Item = u32>,
    ) -> Imported {
        let mut wanted: BTreeSet<u32> = BTreeSet::new();
        let mut work: Vec<u32> = roots.into_iter().collect();
        while let Some(id) = work.pop() {
            let Some(t) = other.type_by_id(id) else { continue };
            if wanted.insert(id) {
                let words = Words::of(t);
                work.extend(words.types().filter_map(|at| words.0.get(at)));
            }
        }
        let first = self.type_count();
        let mut imported = Imported::default();
        imported.types.insert(0, 0);
        imported.types.extend(wanted.iter().zip(first..).map(|(&old, new)| (old, new)));
        let mut texts = Strings { other, start: self.strings_len as u32, new: Vec::new() };
        for offset in strings {
            texts.copy(&mut imported.strings, offset);
        }
        let mut types = Vec::new();
        for t in wanted.iter().filter_map(|&id| other.type_by_id(id)) {
            let mut words = Words::of(t);
            // Types that do not exist become `void`.
            let type_id = |old| imported.types.get(&old).copied().unwrap_or(0);
            words.replace(words.types(), type_id);
            words.replace(words.names(), |old| texts.copy(&mut imported.strings, old));
            self.offsets.push((self.strings + 4 * types.len()) as u32);
            types.extend(words.0);
        }
        self.extend(&types, &texts.new);
        imported
    }
}

/// Strings on their way from one object to another.
struct Strings<'b> {
    other: &'b Btf,
    start: u32,
    new: Vec<u8>,
}

impl Strings<'_> {
    fn copy(&mut self, known: &mut HashMap<u32, u32>, offset: u32) -> u32 {
        let text = self.other.string(offset);
        if text.is_empty() {
            return 0;
        }
        *known.entry(offset).or_insert_with(|| {
            let at = self.start + self.new.len() as u32;
            self.new.extend(text.as_bytes());
            self.new.push(0);
            at
        })
    }
}

/// One type as words.
struct Words(Vec<u32>);

impl Words {
    fn of(t: Type<'_>) -> Self {
        let end = t.at + TYPE + t.kind().tail(t.count());
        let word = |at| u32_at(&t.btf.bytes, at).unwrap_or_default();
        Self((t.at..end).step_by(4).map(word).collect())
    }

    fn kind(&self) -> Option<Kind> {
        Kind::from_raw((self.0[1] >> 24 & 0x1f) as u8)
    }

    fn elements(&self, first: usize, step: usize) -> impl Iterator<Item = usize> + use<> {
        (first..self.0.len()).step_by(step)
    }

    fn replace(&mut self, places: impl Iterator<Item = usize>, mut new: impl FnMut(u32) -> u32) {
        for at in places {
            if let Some(word) = self.0.get_mut(at) {
                *word = new(*word);
            }
        }
    }

    /// Which words are type ids.
    fn types(&self) -> Box<dyn Iterator<Item = usize>> {
        match self.kind() {
            Some(Kind::Int | Kind::Float | Kind::Fwd | Kind::Enum | Kind::Enum64) | None => {
                Box::new(std::iter::empty())
            }
            Some(Kind::Array) => Box::new(3..5),
            Some(Kind::Struct | Kind::Union) => Box::new(self.elements(4, 3)),
            Some(Kind::Datasec) => Box::new(self.elements(3, 3)),
            Some(Kind::FuncProto) => Box::new(std::iter::once(2).chain(self.elements(4, 2))),
            Some(_) => Box::new(std::iter::once(2)),
        }
    }

    /// Which words are offsets of strings.
    fn names(&self) -> Box<dyn Iterator<Item = usize>> {
        let own = std::iter::once(0);
        match self.kind() {
            Some(Kind::Struct | Kind::Union | Kind::Enum64) => {
                Box::new(own.chain(self.elements(3, 3)))
            }
            Some(Kind::Enum | Kind::FuncProto) => Box::new(own.chain(self.elements(3, 2))),
            _ => Box::new(own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::programs;

    fn object(name: &str) -> Btf {
        let module = crate::Module::parse(name, programs::get(name).unwrap().object).unwrap();
        Btf::parse(&module.btf).unwrap()
    }

    /// What another reader makes of the bytes: ids and names must be found again.
    fn reread(btf: &Btf) -> Btf {
        Btf::parse(btf.bytes()).unwrap()
    }

    #[test]
    fn what_is_added_reads_back_and_moves_nothing() {
        let mut btf = object("acl");
        let before: Vec<String> =
            btf.types().map(|t| format!("{:?} {}", t.kind(), t.name())).collect();
        let int = btf.types().find(|t| t.kind() == Kind::Int).unwrap().id();
        let proto = btf.append_prototype(int, &[("ctx", 0), ("delta", int)]);
        let function = btf.append_function("hoist_adjust_head", proto);
        let text = btf.append_string("/* line */");
        let btf = reread(&btf);
        let after: Vec<String> =
            btf.types().map(|t| format!("{:?} {}", t.kind(), t.name())).collect();
        assert_eq!(after[..before.len()], before);
        let f = btf.type_by_id(function).unwrap();
        assert_eq!((f.kind(), f.name(), f.linkage()), (Kind::Func, "hoist_adjust_head", Some(0)));
        let params: Vec<_> = btf
            .type_by_id(f.size_or_type())
            .unwrap()
            .params()
            .map(|p| (p.name, p.type_id))
            .collect();
        assert_eq!(params, [("ctx", 0), ("delta", int)]);
        assert_eq!(btf.string(text), "/* line */");
    }

    #[test]
    fn functions_become_static_but_for_those_of_the_kernel() {
        let mut btf = object("rx_hash");
        let linkages = |btf: &Btf| {
            let of = |t: Type<'_>| (t.name().to_owned(), t.linkage().unwrap());
            btf.types().filter(|t| t.kind() == Kind::Func).map(of).collect::<Vec<_>>()
        };
        let kernel = ("bpf_xdp_metadata_rx_hash".to_owned(), 2);
        assert!(linkages(&btf).contains(&kernel));
        assert!(linkages(&btf).iter().any(|(_, linkage)| *linkage == GLOBAL));
        btf.make_functions_static();
        let after = linkages(&reread(&btf));
        assert!(after.contains(&kernel));
        assert!(after.iter().all(|f| f.1 == STATIC || *f == kernel), "{after:?}");
    }

    #[test]
    fn the_context_gets_another_name_and_nothing_else_does() {
        let mut btf = object("acl");
        let named = |btf: &Btf, name: &str| btf.types().filter(|t| t.is_named(name)).count();
        assert_eq!((named(&btf, "xdp_md"), named(&btf, "__sk_buff")), (1, 0));
        let strings = btf.strings_len;
        assert_eq!(btf.rename_struct("xdp_md", "__sk_buff"), 1);
        let renamed = reread(&btf);
        assert_eq!((named(&renamed, "xdp_md"), named(&renamed, "__sk_buff")), (0, 1));
        let found = renamed.find("__sk_buff", Kind::Struct).unwrap();
        assert_eq!(found.members().next().unwrap().name, "data");
        assert_eq!(btf.strings_len, strings + "__sk_buff".len() + 1);
        assert_eq!(btf.rename_struct("xdp_md", "__sk_buff"), 0);
    }

    /// A type with everything it refers to, as text; cycles end at names.
    fn deep(btf: &Btf, id: u32, depth: usize) -> String {
        let Some(t) = btf.type_by_id(id).filter(|_| depth < 12) else { return "-".to_owned() };
        let words = Words::of(t);
        let inner: Vec<String> =
            words.types().map(|at| deep(btf, words.0[at], depth + 1)).collect();
        let names: Vec<&str> = words.names().map(|at| btf.string(words.0[at])).collect();
        format!("{:?}{names:?}{:x}({})", t.kind(), words.0[1], inner.join(","))
    }

    #[test]
    fn what_is_imported_means_the_same() {
        for name in ["acl", "ipip_encap", "rx_hash", "ringbuf", "tail_call"] {
            let other = object(name);
            let mut btf = object("pass");
            let (count, roots) = (btf.type_count(), 1..other.type_count());
            let text = other.types().find(|t| !t.name().is_empty()).unwrap();
            let offset = Words::of(text).0[0];
            let imported = btf.import(&other, roots, [offset]);
            let btf = reread(&btf);
            assert_eq!(btf.type_count(), count + other.type_count() - 1);
            for id in 1..other.type_count() {
                assert_eq!(deep(&btf, imported.types[&id], 0), deep(&other, id, 0), "{name} {id}");
            }
            assert_eq!(btf.string(imported.strings[&offset]), text.name());
        }
    }

    #[test]
    fn only_what_is_referred_to_is_imported() {
        let other = object("acl");
        let context = other.find("xdp_md", Kind::Struct).unwrap().id();
        let mut btf = object("pass");
        let before = btf.type_count();
        let imported = btf.import(&other, [context, 99_999], []);
        // The struct, `__u32` and `unsigned int`.
        assert_eq!(btf.type_count(), before + 3);
        assert!(!imported.types.contains_key(&99_999));
    }
}
