//! Attaches what `.BTF.ext` says to the instructions: functions' types, source lines, CO-RE
//! relocations.

use std::collections::HashMap;

use super::functions::Table;
use super::{Budget, ParseError};
use crate::btf::Btf;
use crate::btf::ext::{BtfExt, Record};
use crate::elf::Elf;
use crate::module::{CoreRelocation, FunctionId, InstId, Module, SourceLine};

/// Finds the instruction a record is about.
struct Locator<'a> {
    table: &'a Table,
    /// Section index by the offset of its name in the BTF string section.
    sections: HashMap<u32, Option<usize>>,
    names: HashMap<&'a str, usize>,
    btf: &'a Btf,
}

impl Locator<'_> {
    fn find(&mut self, record: &Record) -> Option<(FunctionId, InstId)> {
        let Self { table, sections, names, btf } = self;
        let section = *sections
            .entry(record.section_name)
            .or_insert_with(|| names.get(btf.string(record.section_name)).copied());
        // Records of functions that another definition replaced find nothing; as in libbpf they
        // are passed over.
        let (function, slot) = table.covering(section?, u64::from(record.insn_offset))?;
        Some((function, InstId(slot)))
    }
}

pub(super) fn attach(
    elf: &Elf<'_>,
    bytes: &[u8],
    btf: &Btf,
    table: &Table,
    module: &mut Module,
    budget: &mut Budget,
) -> Result<(), ParseError> {
    // libbpf warns of a damaged .BTF.ext and goes on; CO-RE would then silently not happen, so
    // damage is an error here.
    let ext = BtfExt::parse(bytes)?;
    let mut names = HashMap::new();
    for section in elf.sections() {
        let section = section?;
        budget.charge(48, section.name)?;
        names.entry(section.name).or_insert(section.index);
    }
    let mut locator = Locator { table, sections: HashMap::new(), names, btf };
    ext.functions(|record| {
        if let Some((function, InstId(0))) = locator.find(&record) {
            module.functions[function.0 as usize].btf_type_id = Some(record.words[0]);
        }
    })?;
    lines(&ext, &mut locator, module, budget)?;
    core(&ext, &mut locator, module, budget)
}

fn lines(
    ext: &BtfExt<'_>,
    locator: &mut Locator<'_>,
    module: &mut Module,
    budget: &mut Budget,
) -> Result<(), ParseError> {
    let mut known: HashMap<[u32; 3], u32> = HashMap::new();
    let mut result = Ok(());
    ext.lines(|record| {
        let Some((function, inst)) = locator.find(&record) else { return };
        let code = &mut module.functions[function.0 as usize].code;
        let Ok(at) = code.binary_search_by_key(&inst, |i| i.id) else { return };
        if result.is_err() {
            return;
        }
        let index = match known.get(&record.words) {
            Some(index) => *index,
            None => match source_line(locator.btf, record.words, budget) {
                Ok(line) => {
                    let index = module.lines.len() as u32;
                    module.lines.push(line);
                    known.insert(record.words, index);
                    index
                }
                Err(error) => {
                    result = Err(error);
                    return;
                }
            },
        };
        code[at].line = Some(index);
    })?;
    result?;
    for function in &mut module.functions {
        let mut current = None;
        for inst in &mut function.code {
            current = inst.line.or(current);
            inst.line = current;
        }
    }
    Ok(())
}

fn source_line(
    btf: &Btf,
    [file, text, packed]: [u32; 3],
    budget: &mut Budget,
) -> Result<SourceLine, ParseError> {
    budget.charge(2 * size_of::<SourceLine>() + 32, ".BTF.ext")?;
    Ok(SourceLine {
        file: budget.name(btf.string(file))?,
        line: packed >> 10,
        column: packed & 0x3ff,
        text: budget.name(btf.string(text).trim())?,
        strings: Some((file, text)),
    })
}

fn core(
    ext: &BtfExt<'_>,
    locator: &mut Locator<'_>,
    module: &mut Module,
    budget: &mut Budget,
) -> Result<(), ParseError> {
    let mut result = Ok(());
    ext.core_relocations(|record| {
        let Some((function, inst)) = locator.find(&record) else { return };
        let [type_id, access, kind] = record.words;
        if result.is_err() {
            return;
        }
        let charged = budget
            .charge(2 * size_of::<CoreRelocation>(), ".BTF.ext")
            .and_then(|()| budget.name(locator.btf.string(access)));
        match charged {
            Ok(access) => {
                let relocation = CoreRelocation { function, inst, type_id, access, kind };
                module.core_relocations.push(relocation);
            }
            Err(error) => result = Err(error),
        }
    })?;
    result
}
