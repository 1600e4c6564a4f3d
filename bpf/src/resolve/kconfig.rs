//! Values of the kernel's configuration, for `__kconfig` externs.

use std::collections::BTreeMap;

use super::ResolveError;
use crate::btf::{Btf, Int, Kind};
use crate::module::{DataSection, Extern, ExternKind, Module, Resolution};

/// The configuration of one kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelConfig {
    /// Options as in `/proc/config.gz`: `CONFIG_BPF` to `y`, `CONFIG_HZ` to `250`,
    /// `CONFIG_LOCALVERSION` to `"-custom"`.
    pub options: BTreeMap<String, String>,
    /// `KERNEL_VERSION(major, minor, patch)`: `major << 16 | minor << 8 | patch`.
    pub version: u32,
}

impl KernelConfig {
    /// Reads the text of a kernel configuration; `release` is what `uname -r` prints.
    #[must_use]
    pub fn parse(text: &str, release: &str) -> Self {
        let options = text
            .lines()
            .filter(|line| line.starts_with("CONFIG_"))
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { options, version: version_code(release) }
    }
}

/// `6.18.44-custom` as `KERNEL_VERSION` encodes it.
fn version_code(release: &str) -> u32 {
    let mut parts = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse::<u32>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    let (major, minor, patch) = (next(), next(), next());
    (major & 0xff) << 16 | (minor & 0xff) << 8 | patch.min(255)
}

/// How a declared type takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Bool,
    Tristate,
    Char { signed: bool },
    Number { signed: bool },
    Text,
}

/// Fills the module's `.kconfig` map.
///
/// # Errors
/// Values that the configuration lacks (unless declared weak) or that do not fit their type.
pub fn fill_kconfig(module: &mut Module, config: &KernelConfig) -> Result<(), ResolveError> {
    if !module.externs.iter().any(|e| matches!(e.kind, ExternKind::Kconfig { .. })) {
        return Ok(());
    }
    let btf = Btf::parse(&module.btf).map_err(ResolveError::ModuleBtf)?;
    let Module { externs, maps, .. } = module;
    let map = maps.iter_mut().find(|m| m.section == Some(DataSection::Kconfig));
    let Some(map) = map else { return Ok(()) };
    for external in externs {
        let ExternKind::Kconfig { offset, size } = external.kind else { continue };
        let error = |problem: &str| ResolveError::Kconfig {
            option: external.name.clone(),
            problem: problem.to_owned(),
        };
        let range = offset as usize..(offset as usize).saturating_add(size as usize);
        let place = map.data.get_mut(range).ok_or_else(|| error("lies beyond the map"))?;
        let shape = shape_of(&btf, external).ok_or_else(|| error("its type is unsupported"))?;
        match value_of(&external.name, config) {
            Some(value) => write(place, shape, &value).map_err(error)?,
            None if external.weak => {}
            None => return Err(error("the kernel's configuration does not set it")),
        }
        external.resolution = Resolution::Value;
    }
    Ok(())
}

fn value_of(name: &str, config: &KernelConfig) -> Option<String> {
    match name {
        "LINUX_KERNEL_VERSION" => Some(config.version.to_string()),
        // Since Linux 5.15, and so on every kernel hoist supports.
        "LINUX_HAS_BPF_COOKIE" => Some("1".to_owned()),
        // Architectures with CONFIG_ARCH_HAS_SYSCALL_WRAPPER.
        "LINUX_HAS_SYSCALL_WRAPPER" => {
            let wrapped = cfg!(any(
                target_arch = "x86_64",
                target_arch = "aarch64",
                target_arch = "s390x",
                target_arch = "riscv64"
            ));
            Some(u8::from(wrapped).to_string())
        }
        _ => config.options.get(name).cloned(),
    }
}

fn shape_of(btf: &Btf, external: &Extern) -> Option<Shape> {
    let variable = btf.type_by_id(external.btf_type_id?)?;
    let t = btf.strip(variable.size_or_type())?;
    match t.kind() {
        Kind::Int => number_shape(t.int()?),
        Kind::Enum | Kind::Enum64 if t.name() == "libbpf_tristate" => Some(Shape::Tristate),
        Kind::Array => {
            let element = btf.strip(t.array()?.element)?.int()?;
            (t.array()?.count > 0 && element.size == 1 && !element.bool).then_some(Shape::Text)
        }
        _ => None,
    }
}

fn number_shape(int: Int) -> Option<Shape> {
    let Int { size, signed, bool, .. } = int;
    match size {
        1 if bool => Some(Shape::Bool),
        _ if bool => None,
        1 => Some(Shape::Char { signed }),
        2 | 4 | 8 => Some(Shape::Number { signed }),
        _ => None,
    }
}

/// Writes one value as the configuration spells it.
fn write(place: &mut [u8], shape: Shape, value: &str) -> Result<(), &'static str> {
    if let Some(text) = value.strip_prefix('"') {
        let text = text.strip_suffix('"').ok_or("the string has no closing quote")?;
        if shape != Shape::Text {
            return Err("the configuration holds a string, the module wants something else");
        }
        // The last byte stays NUL; longer strings are cut, as libbpf cuts them.
        let kept = text.len().min(place.len().saturating_sub(1));
        place[..kept].copy_from_slice(&text.as_bytes()[..kept]);
        return Ok(());
    }
    if let "y" | "n" | "m" = value {
        let number = match (shape, value) {
            (Shape::Char { .. }, _) => u64::from(value.as_bytes()[0]),
            (Shape::Bool, "m") => return Err("it is a module (m), which a boolean cannot say"),
            (Shape::Bool, _) => u64::from(value == "y"),
            (Shape::Tristate, "n") => 0,
            (Shape::Tristate, "y") => 1,
            (Shape::Tristate, _) => 2,
            _ => return Err("the configuration holds y, n or m, the module wants something else"),
        };
        return store(place, number);
    }
    let number = parse_number(value).ok_or("the configuration holds no number")?;
    let signed = match shape {
        Shape::Char { signed } | Shape::Number { signed } => signed,
        // `LINUX_HAS_...` are numbers in booleans.
        Shape::Bool if number <= 1 => false,
        _ => return Err("the configuration holds a number, the module wants something else"),
    };
    let bits = 8 * place.len() as u32;
    let fits = bits == 64
        || if signed {
            number.wrapping_add(1 << (bits - 1)) < 1 << bits
        } else {
            number >> bits == 0
        };
    if !fits {
        return Err("the number does not fit the declared type");
    }
    store(place, number)
}

/// As `strtoull` with base 0: decimal, 0x hexadecimal, leading-0 octal, a sign allowed.
fn parse_number(text: &str) -> Option<u64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let number = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        u64::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(&digits[1..], 8)
    } else {
        digits.parse()
    };
    number.ok().map(|n| if negative { n.wrapping_neg() } else { n })
}

/// Stores the low bytes of a number in host byte order.
fn store(place: &mut [u8], number: u64) -> Result<(), &'static str> {
    match place.len() {
        1 => place.copy_from_slice(&(number as u8).to_ne_bytes()),
        2 => place.copy_from_slice(&(number as u16).to_ne_bytes()),
        4 => place.copy_from_slice(&(number as u32).to_ne_bytes()),
        8 => place.copy_from_slice(&number.to_ne_bytes()),
        _ => return Err("its type has an impossible size"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_land_in_the_declared_shape() {
        let number = Shape::Number { signed: false };
        type Outcome = Result<&'static [u8], &'static str>;
        let cases: [(&str, Shape, usize, Outcome); 9] = [
            ("y", Shape::Bool, 1, Ok(&[1])),
            ("m", Shape::Bool, 1, Err("module")),
            ("m", Shape::Tristate, 4, Ok(&[2, 0, 0, 0])),
            ("y", Shape::Char { signed: true }, 1, Ok(b"y")),
            ("250", number, 2, Ok(&[250, 0])),
            ("0x12345", number, 2, Err("fit")),
            ("-1", Shape::Number { signed: true }, 2, Ok(&[0xff, 0xff])),
            ("\"abc\"", Shape::Text, 3, Ok(b"ab\0")),
            ("y", number, 4, Err("something else")),
        ];
        for (value, shape, size, expected) in cases {
            let mut place = vec![0; size];
            match (write(&mut place, shape, value), expected) {
                (Ok(()), Ok(bytes)) => assert_eq!(place, bytes, "{value}"),
                (Err(e), Err(part)) => assert!(e.contains(part), "{value}: {e}"),
                (got, want) => panic!("{value}: {got:?}, {want:?}"),
            }
        }
    }

    #[test]
    fn kernel_version() {
        let config = KernelConfig::parse("# x\nCONFIG_HZ=250\nCONFIG_BPF=y\n", "6.1.299-a7");
        assert_eq!(config.version, 6 << 16 | 1 << 8 | 255);
        assert_eq!(config.options["CONFIG_HZ"], "250");
    }
}
