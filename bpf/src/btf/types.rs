//! Views of single types. Nothing here allocates.

use super::Btf;
use super::raw::{TYPE, u32_at};

/// `BTF_KIND_*` of `linux/btf.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// Integer, boolean or character.
    Int = 1,
    /// Pointer.
    Ptr = 2,
    /// Array.
    Array = 3,
    /// Structure.
    Struct = 4,
    /// Union.
    Union = 5,
    /// Enumeration of 32-bit values.
    Enum = 6,
    /// Forward declaration of a struct or union.
    Fwd = 7,
    /// Typedef.
    Typedef = 8,
    /// `volatile`.
    Volatile = 9,
    /// `const`.
    Const = 10,
    /// `restrict`.
    Restrict = 11,
    /// Function; its type is a [`Kind::FuncProto`].
    Func = 12,
    /// Function prototype.
    FuncProto = 13,
    /// Variable.
    Var = 14,
    /// Data section.
    Datasec = 15,
    /// Floating point number.
    Float = 16,
    /// `btf_decl_tag` attribute.
    DeclTag = 17,
    /// `btf_type_tag` attribute.
    TypeTag = 18,
    /// Enumeration of 64-bit values.
    Enum64 = 19,
}

impl Kind {
    const ALL: [Self; 19] = [
        Self::Int,
        Self::Ptr,
        Self::Array,
        Self::Struct,
        Self::Union,
        Self::Enum,
        Self::Fwd,
        Self::Typedef,
        Self::Volatile,
        Self::Const,
        Self::Restrict,
        Self::Func,
        Self::FuncProto,
        Self::Var,
        Self::Datasec,
        Self::Float,
        Self::DeclTag,
        Self::TypeTag,
        Self::Enum64,
    ];

    pub(super) fn from_raw(raw: u8) -> Option<Self> {
        Self::ALL.get(usize::from(raw).checked_sub(1)?).copied()
    }

    /// Bytes that follow `struct btf_type`, for `count` elements.
    pub(super) fn tail(self, count: u32) -> usize {
        let count = count as usize;
        match self {
            Self::Int | Self::Var | Self::DeclTag => 4,
            Self::Array => 12,
            Self::Struct | Self::Union | Self::Datasec | Self::Enum64 => 12 * count,
            Self::Enum | Self::FuncProto => 8 * count,
            _ => 0,
        }
    }

    /// Typedef, qualifier or type tag: something that [`Btf::strip`] looks through.
    #[must_use]
    pub const fn is_modifier(self) -> bool {
        matches!(
            self,
            Self::Typedef | Self::Volatile | Self::Const | Self::Restrict | Self::TypeTag
        )
    }

    /// Struct or union.
    #[must_use]
    pub const fn is_composite(self) -> bool {
        matches!(self, Self::Struct | Self::Union)
    }

    /// Enumeration of either width.
    #[must_use]
    pub const fn is_enum(self) -> bool {
        matches!(self, Self::Enum | Self::Enum64)
    }
}

/// One type of a [`Btf`].
#[derive(Clone, Copy, Debug)]
pub struct Type<'b> {
    pub(super) btf: &'b Btf,
    pub(super) id: u32,
    pub(super) at: usize,
}

/// What an integer type holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Int {
    /// Bytes.
    pub size: u32,
    /// Signed (`BTF_INT_SIGNED`).
    pub signed: bool,
    /// Character (`BTF_INT_CHAR`).
    pub char: bool,
    /// Boolean (`BTF_INT_BOOL`).
    pub bool: bool,
    /// Bit offset within its storage, for the obsolete form of bit-fields; else 0.
    pub bit_offset: u8,
    /// Bits that count.
    pub bits: u8,
}

/// Element type and length of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    /// Element type id.
    pub element: u32,
    /// Index type id.
    pub index: u32,
    /// Number of elements.
    pub count: u32,
}

/// One field of a struct or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'b> {
    /// Name; empty for anonymous fields.
    pub name: &'b str,
    /// Type id.
    pub type_id: u32,
    /// Offset in bits from the start of the struct.
    pub bit_offset: u32,
    /// Width in bits for bit-fields, else 0.
    pub bits: u8,
}

/// One value of an enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enumerator<'b> {
    /// Name.
    pub name: &'b str,
    /// Value, sign-extended to 64 bits where the enumeration is signed.
    pub value: i64,
}

/// One parameter of a function prototype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Param<'b> {
    /// Name; empty when the prototype has none.
    pub name: &'b str,
    /// Type id; 0 as the last parameter stands for `...`.
    pub type_id: u32,
}

/// One variable of a data section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Type id of the [`Kind::Var`] (or [`Kind::Func`], in `.ksyms`).
    pub type_id: u32,
    /// Offset in bytes within the section.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
}

impl<'b> Type<'b> {
    fn word(self, index: usize) -> u32 {
        // `raw::check` saw every word of every type lie within the section.
        u32_at(&self.btf.bytes, self.at + 4 * index).unwrap_or_default()
    }

    fn tail_word(self, index: usize) -> u32 {
        self.word(TYPE / 4 + index)
    }

    fn info(self) -> u32 {
        self.word(1)
    }

    /// Type id.
    #[must_use]
    pub const fn id(self) -> u32 {
        self.id
    }

    /// Offset of `struct btf_type` within the section, in bytes.
    #[must_use]
    pub const fn section_offset(self) -> usize {
        self.at
    }

    /// Name; empty for anonymous types.
    #[must_use]
    pub fn name(self) -> &'b str {
        self.btf.string(self.word(0))
    }

    /// Whether the name starts with `prefix`. Cheaper than [`Type::name`] on a whole kernel.
    #[must_use]
    pub fn name_starts_with(self, prefix: &str) -> bool {
        self.btf.string_bytes(self.word(0)).starts_with(prefix.as_bytes())
    }

    /// Whether the name is `name`. Cheaper than [`Type::name`] on a whole kernel.
    #[must_use]
    pub fn is_named(self, name: &str) -> bool {
        let rest = self.btf.string_bytes(self.word(0)).strip_prefix(name.as_bytes());
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }

    /// Kind.
    #[must_use]
    pub fn kind(self) -> Kind {
        // `raw::check` refused unknown kinds.
        Kind::from_raw(((self.info() >> 24) & 0x1f) as u8).unwrap_or(Kind::Fwd)
    }

    /// `vlen`: number of members, values, parameters or variables; for functions, the linkage.
    #[must_use]
    pub fn count(self) -> u32 {
        self.info() & 0xffff
    }

    /// `kind_flag`: bit-field encoding of a struct, union instead of struct for a forward
    /// declaration, signedness of an enumeration.
    #[must_use]
    pub fn flag(self) -> bool {
        self.info() >> 31 == 1
    }

    /// The third word: size in bytes, or the id of the type referred to.
    #[must_use]
    pub fn size_or_type(self) -> u32 {
        self.word(2)
    }

    /// Integer encoding; `None` for other kinds.
    #[must_use]
    pub fn int(self) -> Option<Int> {
        (self.kind() == Kind::Int).then(|| {
            let word = self.tail_word(0);
            let encoding = (word >> 24) & 0x0f;
            Int {
                size: self.size_or_type(),
                signed: encoding & 1 != 0,
                char: encoding & 2 != 0,
                bool: encoding & 4 != 0,
                bit_offset: ((word >> 16) & 0xff) as u8,
                bits: (word & 0xff) as u8,
            }
        })
    }

    /// Array shape; `None` for other kinds.
    #[must_use]
    pub fn array(self) -> Option<Array> {
        (self.kind() == Kind::Array).then(|| Array {
            element: self.tail_word(0),
            index: self.tail_word(1),
            count: self.tail_word(2),
        })
    }

    fn elements(self, of: bool) -> std::ops::Range<usize> {
        0..if of { self.count() as usize } else { 0 }
    }

    /// Fields in order; empty for other kinds.
    pub fn members(self) -> impl ExactSizeIterator<Item = Member<'b>> {
        let flag = self.flag();
        self.elements(self.kind().is_composite()).map(move |i| {
            let offset = self.tail_word(3 * i + 2);
            let (bit_offset, bits) =
                if flag { (offset & 0x00ff_ffff, (offset >> 24) as u8) } else { (offset, 0) };
            let name = self.btf.string(self.tail_word(3 * i));
            Member { name, type_id: self.tail_word(3 * i + 1), bit_offset, bits }
        })
    }

    /// Values in order; empty for other kinds.
    pub fn enumerators(self) -> impl ExactSizeIterator<Item = Enumerator<'b>> {
        let (kind, signed) = (self.kind(), self.flag());
        self.elements(kind.is_enum()).map(move |i| {
            let step = if kind == Kind::Enum64 { 3 } else { 2 };
            let low = self.tail_word(step * i + 1);
            let value = if kind == Kind::Enum64 {
                (u64::from(self.tail_word(step * i + 2)) << 32 | u64::from(low)) as i64
            } else if signed {
                i64::from(low as i32)
            } else {
                i64::from(low)
            };
            Enumerator { name: self.btf.string(self.tail_word(step * i)), value }
        })
    }

    /// Parameters in order; empty for other kinds.
    pub fn params(self) -> impl ExactSizeIterator<Item = Param<'b>> {
        self.elements(self.kind() == Kind::FuncProto).map(move |i| Param {
            name: self.btf.string(self.tail_word(2 * i)),
            type_id: self.tail_word(2 * i + 1),
        })
    }

    /// Variables of a data section in order; empty for other kinds.
    pub fn variables(self) -> impl ExactSizeIterator<Item = Variable> {
        self.elements(self.kind() == Kind::Datasec).map(move |i| Variable {
            type_id: self.tail_word(3 * i),
            offset: self.tail_word(3 * i + 1),
            size: self.tail_word(3 * i + 2),
        })
    }

    /// Linkage of a variable (0 static, 1 allocated, 2 extern) or function (0 static, 1 global,
    /// 2 extern); `None` for other kinds.
    #[must_use]
    pub fn linkage(self) -> Option<u32> {
        match self.kind() {
            Kind::Var => Some(self.tail_word(0)),
            Kind::Func => Some(self.count()),
            _ => None,
        }
    }
}
