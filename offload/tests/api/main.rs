//! What vendors build against, as a list that a test holds: a break is then a decision.
//!
//! The list (`offload/public-api.txt`) is made from the source: in this crate `pub` means public, since
//! the lint `unreachable_pub` is an error. Decision 0058 says why it is made so.
#![expect(clippy::unwrap_used, reason = "a source that cannot be read has failed the test")]

mod listing;

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_public_api_is_what_the_list_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let now = listing::of("hoist_offload", &root.join("src/lib.rs"));
    let path = root.join("public-api.txt");
    if std::env::var_os("HOIST_BLESS").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let listed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        listed == now,
        "the public API of hoist-offload is not what offload/public-api.txt lists:\n{}\n\
         Crates of NIC vendors are built against it. If it changes what they have to write, say so in a \
         decision record (docs/decisions/) with what they do about it; then take the list over:\n  \
         HOIST_BLESS=1 cargo test -p hoist-offload --test api",
        difference(&listed, &now)
    );
}

/// Lines that are in one of the texts only, under the module that they stand in.
fn difference(before: &str, after: &str) -> String {
    let lines = |text: &str| {
        let mut module = String::new();
        let mut all = BTreeSet::new();
        for line in text.lines() {
            match line.strip_prefix("mod ") {
                Some(path) => path.clone_into(&mut module),
                None if line.is_empty() => {}
                None => _ = all.insert((module.clone(), line.to_owned())),
            }
        }
        all
    };
    let (before, after) = (lines(before), lines(after));
    let show = |sign: char, (module, line): &(String, String)| format!("{sign} {module}: {line}\n");
    let gone = before.difference(&after).map(|line| show('-', line));
    gone.chain(after.difference(&before).map(|line| show('+', line))).collect()
}

/// What is listed of a source, and what is not.
#[test]
fn the_list_has_what_others_can_use() {
    let source = r#"
        //! About.
        pub mod parts;
        mod hidden;
        pub use hidden::Thing;
        bitflags! { /// Doc.
            pub struct Flags: u32 { /// Doc.
                const A = 1; } }
        /// Doc.
        #[derive(Clone)] #[serde(rename = "x")]
        pub struct Open { /// Doc.
            pub a: u32, b: u32 }
        pub struct Closed(u32, pub u8);
        pub(crate) struct Inner;
        struct Private;
        #[non_exhaustive]
        pub enum Kind { A, B(u8) }
        impl Open {
            pub const MOST: u32 = 3;
            #[must_use]
            pub fn get(&self) -> u32 { self.a }
            fn secret(&self) {}
        }
        impl Closed { fn nothing_public(&self) {} }
        impl From<Open> for u32 { fn from(open: Open) -> u32 { open.a } }
        impl Clone for Private { fn clone(&self) -> Self { Self } }
        pub trait Speaks { fn word(&self) -> &str; fn loud(&self) -> String { String::new() } }
        pub const TEXT: &str = "text";
        pub fn free<T: Clone>(of: &T) -> T { of.clone() }
        fn helper() {}
        #[cfg(test)] mod tests { pub fn test() {} }
    "#;
    let expected = "\
bitflags! {
    pub struct Flags : u32 {
    const A = 1 ;
    } }
#[derive(Clone)]
pub struct Open {
    pub a: u32,
    _: _,
}
#[non_exhaustive]
pub enum Kind {
    A,
    B(u8),
}
impl From<Open> for u32;
impl Open {
    pub const MOST: u32 = _;
    pub fn get(&self) -> u32;
}
pub const TEXT: &str = _;
pub fn free<T: Clone>(of: &T) -> T;
pub mod parts;
pub struct Closed(_, pub u8);
pub trait Speaks {
    fn word(&self) -> &str;
    #[provided]
    fn loud(&self) -> String;
}
pub use hidden::Thing;
";
    let listed = listing::of_source(source);
    let mut blocks: Vec<&str> = expected.lines().collect();
    let mut got: Vec<&str> = listed.lines().collect();
    blocks.sort_unstable();
    got.sort_unstable();
    assert_eq!(got, blocks, "{listed}");
}
