//! From a crate's source to the list of what others can use of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use syn::punctuated::Punctuated;
use syn::{
    Attribute, Expr, Field, Fields, File, Ident, ImplItem, Item, ItemImpl, ItemMod, Meta,
    TraitItem, Type, Visibility, parse_quote,
};

/// Attributes that are part of the promise. `cfg` says with which features.
const KEPT: [&str; 4] = ["cfg", "derive", "non_exhaustive", "repr"];

/// The list of a crate, module by module.
pub(crate) fn of(name: &str, root: &Path) -> String {
    let mut modules = Vec::new();
    read(name, root, &mut modules);
    modules.sort_by(|a, b| a.0.cmp(&b.0));
    let all: Vec<Item> = modules.iter().flat_map(|(_, items)| items.clone()).collect();
    let private = private_names(&all);
    let mut text = String::new();
    for (path, items) in modules {
        let listed = list(items, &private);
        if !listed.is_empty() {
            text += &format!("mod {path}\n\n{listed}\n");
        }
    }
    text
}

/// The list of a single source.
pub(crate) fn of_source(source: &str) -> String {
    let items = syn::parse_file(source).unwrap().items;
    let private = private_names(&items);
    list(items, &private)
}

/// Reads a module's file and those of the modules in it.
fn read(path: &str, file: &Path, modules: &mut Vec<(String, Vec<Item>)>) {
    let source = std::fs::read_to_string(file).unwrap();
    let items = syn::parse_file(&source).unwrap().items;
    for item in &items {
        if let Item::Mod(ItemMod { attrs, ident, content: None, .. }) = item
            && !is_test(attrs)
        {
            read(&format!("{path}::{ident}"), &module_file(file, ident), modules);
        }
    }
    modules.push((path.to_owned(), items));
}

fn module_file(parent: &Path, module: &Ident) -> PathBuf {
    let stem = parent.file_stem().unwrap();
    let folder = parent.parent().unwrap();
    let folder = match stem.to_str() {
        Some("lib" | "mod") => folder.to_owned(),
        _ => folder.join(stem),
    };
    let file = folder.join(format!("{module}.rs"));
    if file.exists() { file } else { folder.join(format!("{module}/mod.rs")) }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

const fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Types and traits of the crate that others cannot name.
fn private_names(items: &[Item]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut public = BTreeSet::new();
    for item in items {
        let (visibility, ident) = match item {
            Item::Struct(item) => (&item.vis, &item.ident),
            Item::Enum(item) => (&item.vis, &item.ident),
            Item::Trait(item) => (&item.vis, &item.ident),
            Item::Type(item) => (&item.vis, &item.ident),
            _ => continue,
        };
        let set = if is_public(visibility) { &mut public } else { &mut names };
        set.insert(ident.to_string());
    }
    &names - &public
}

/// The public items, sorted, so that their order in the source does not matter.
fn list(items: Vec<Item>, private: &BTreeSet<String>) -> String {
    let mut printed: Vec<String> =
        items.into_iter().filter_map(|item| public(item, private)).map(print).collect();
    printed.sort();
    printed.concat()
}

/// An item as others see it.
fn public(item: Item, private: &BTreeSet<String>) -> Option<Item> {
    let mut item = item;
    let (attributes, visible) = match &mut item {
        Item::Const(item) => {
            *item.expr = unknown();
            (&mut item.attrs, is_public(&item.vis))
        }
        Item::Static(item) => {
            *item.expr = unknown();
            (&mut item.attrs, is_public(&item.vis))
        }
        Item::Fn(item) => {
            item.block.stmts.clear();
            (&mut item.attrs, is_public(&item.vis))
        }
        Item::Mod(item) => (&mut item.attrs, is_public(&item.vis)),
        Item::Type(item) => (&mut item.attrs, is_public(&item.vis)),
        Item::Use(item) => (&mut item.attrs, is_public(&item.vis)),
        Item::Struct(item) => {
            fields(&mut item.fields);
            (&mut item.attrs, is_public(&item.vis))
        }
        Item::Enum(item) => {
            for variant in &mut item.variants {
                keep(&mut variant.attrs);
                for field in &mut variant.fields {
                    keep(&mut field.attrs);
                }
            }
            (&mut item.attrs, is_public(&item.vis))
        }
        Item::Trait(item) => {
            item.items.iter_mut().for_each(trait_item);
            (&mut item.attrs, is_public(&item.vis))
        }
        Item::Impl(item) => {
            let visible = implementation(item, private);
            (&mut item.attrs, visible)
        }
        // What a macro makes is not known here: what it is made from stands for it.
        Item::Macro(item) => (&mut item.attrs, item.ident.is_none()),
        _ => return None,
    };
    let test = is_test(attributes);
    keep(attributes);
    (visible && !test).then_some(item)
}

/// What stands for a value.
fn unknown() -> Expr {
    parse_quote!(_)
}

fn keep(attributes: &mut Vec<Attribute>) {
    attributes.retain(|attribute| KEPT.iter().any(|name| attribute.path().is_ident(name)));
}

/// Public fields; one more where others cannot build the value.
fn fields(fields: &mut Fields) {
    for field in fields.iter_mut() {
        keep(&mut field.attrs);
    }
    match fields {
        Fields::Named(named) => {
            let all = std::mem::replace(&mut named.named, Punctuated::new());
            let closed = all.iter().any(|field| !is_public(&field.vis));
            named.named = all.into_iter().filter(|field| is_public(&field.vis)).collect();
            if closed {
                let ident: Ident = parse_quote!(hidden);
                named.named.push(Field {
                    attrs: Vec::new(),
                    vis: Visibility::Inherited,
                    mutability: syn::FieldMutability::None,
                    ident: Some(Ident::new("_", ident.span())),
                    colon_token: Some(Default::default()),
                    ty: Type::Infer(parse_quote!(_)),
                });
            }
        }
        Fields::Unnamed(unnamed) => {
            for field in unnamed.unnamed.iter_mut().filter(|field| !is_public(&field.vis)) {
                field.ty = Type::Infer(parse_quote!(_));
            }
        }
        Fields::Unit => {}
    }
}

fn trait_item(item: &mut TraitItem) {
    match item {
        TraitItem::Fn(item) => {
            keep(&mut item.attrs);
            if item.default.take().is_some() {
                item.attrs.push(parse_quote!(#[provided]));
            }
        }
        TraitItem::Const(item) => {
            keep(&mut item.attrs);
            if let Some((_, value)) = &mut item.default {
                *value = unknown();
            }
        }
        TraitItem::Type(item) => keep(&mut item.attrs),
        _ => {}
    }
}

/// Leaves of an implementation what others see; whether that is anything.
fn implementation(item: &mut ItemImpl, private: &BTreeSet<String>) -> bool {
    let hidden = |path: &syn::Path| {
        path.segments.last().is_some_and(|last| private.contains(&last.ident.to_string()))
    };
    if matches!(&*item.self_ty, Type::Path(path) if hidden(&path.path)) {
        return false;
    }
    if let Some((_, path, _)) = &item.trait_ {
        let visible = !hidden(path);
        item.items.clear();
        return visible;
    }
    item.items.retain_mut(|item| {
        let (attributes, visibility) = match item {
            ImplItem::Fn(item) => {
                item.block.stmts.clear();
                (&mut item.attrs, &item.vis)
            }
            ImplItem::Const(item) => {
                item.expr = unknown();
                (&mut item.attrs, &item.vis)
            }
            _ => return false,
        };
        let test = is_test(attributes);
        keep(attributes);
        is_public(visibility) && !test
    });
    !item.items.is_empty()
}

fn print(item: Item) -> String {
    if let Item::Macro(item) = &item {
        let name = item.mac.path.segments.last().map(|last| last.ident.to_string());
        let body = wordless(&item.mac.tokens.to_string());
        return format!("{}! {{\n    {body} }}\n", name.unwrap_or_default());
    }
    let text = prettyplease::unparse(&File { shebang: None, attrs: Vec::new(), items: vec![item] });
    // Functions without their bodies.
    text.lines()
        .map(|line| {
            line.strip_suffix(" {}")
                .map_or_else(|| format!("{line}\n"), |head| format!("{head};\n"))
        })
        .collect()
}

/// Tokens without documentation and without the words in quotes.
fn wordless(tokens: &str) -> String {
    let mut text = String::new();
    let mut quoted = false;
    let mut escaped = false;
    for char in tokens.chars() {
        match char {
            '"' if !escaped => {
                quoted = !quoted;
                text.push('"');
            }
            _ if quoted => {}
            _ => text.push(char),
        }
        escaped = quoted && char == '\\' && !escaped;
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = ["#[doc = \"\"]", "# [doc = \"\"]"]
        .iter()
        .fold(text, |text, doc| text.replace(&format!("{doc} "), ""));
    // A line for each thing that a macro is given.
    text.replace(" ; ", " ;\n    ").replace(" { ", " {\n    ")
}
