//! Rules that one instruction alone decides: is it there, and is it what the driver takes it for.

use hoist_bpf::analysis::Values;
use hoist_bpf::module::Target;
use hoist_bpf::opcode::{alu, class, jmp, mode};

use super::survey::{Spot, Survey};
use super::{ProgramType, Rule};

impl Survey<'_> {
    pub(super) fn code(&mut self, values: &Values) {
        for spot in self.spots(values) {
            let reached = values.given(spot.function, spot.position).is_some();
            if reached {
                self.instruction(spot);
                self.verdict(spot, values);
            }
        }
        for at in &values.back_edges {
            let code = &self.module.function(at.function).code;
            if let Some(position) = code.iter().position(|inst| inst.id == at.inst) {
                let spot = Spot { function: at.function, position, inst: &code[position] };
                let taken = self.has("loops");
                if self.enforced(Rule::Loop) {
                    self.demand("loops", 1);
                }
                if !taken {
                    self.broken(Rule::Loop, spot, "jumps backwards; the driver is older than loops in the kernel and has no word about them, so that nothing shows that the card runs them");
                }
            }
        }
    }

    fn instruction(&mut self, spot: Spot<'_>) {
        let insn = spot.insn();
        let text = || insn.to_string();
        if let Some(opcodes) = &self.profile.opcodes
            && !opcodes.contains(&insn.code)
        {
            let message = format!(
                "{} (operation code {:#04x}) is none of the card's instructions",
                text(),
                insn.code
            );
            return self.broken(Rule::Opcode, spot, message);
        }
        let (op, alu) = (insn.code & 0xf0, matches!(insn.class(), class::ALU | class::ALU64));
        let misread = match op {
            alu::MOV if alu && insn.off == 1 => Some(("casts an address", "a plain move")),
            alu::MOV if alu && insn.off != 0 => Some(("extends the sign", "a plain move")),
            alu::DIV if alu && insn.off != 0 => Some(("divides signed", "an unsigned division")),
            _ => None,
        };
        if let Some((does, taken)) = misread {
            let message = format!(
                "{} {does}; the driver does not look at the offset that says so and makes it {taken}, without a word",
                text()
            );
            self.broken(Rule::Misread, spot, message);
        }
        // `meta->ptr` is filled in for BPF_STX and BPF_LDX alone.
        if insn.class() == class::ST && insn.code & 0xe0 == mode::MEM {
            let message = format!(
                "{} stores a constant; the driver notes what kind of memory is accessed for stores of registers only, and then cannot translate it",
                text()
            );
            self.broken(Rule::StoreConstant, spot, message);
        }
        if insn.is_call()
            && let Target::Extern(id) = spot.inst.target
        {
            let name = &self.module.external(id).name;
            let message = format!("calls the kernel function {name}");
            self.broken(Rule::Kfunc, spot, message);
        }
    }

    fn verdict(&mut self, spot: Spot<'_>, values: &Values) {
        let exits = spot.insn().code == class::JMP | jmp::EXIT;
        if !exits || values.functions.first() != Some(&spot.function) {
            return;
        }
        let Some(given) = values.given(spot.function, spot.position) else { return };
        match (self.kind, self.profile.verdicts.xdp_most, &self.profile.verdicts.classifier) {
            (ProgramType::Xdp, Some(most), _) => {
                // Of a verdict that is computed nothing is asked: what is above counts as aborted
                // on the host too, but for XDP_REDIRECT, which needs a helper that is asked for.
                if let Some(verdict) = given.dst.range().constant().map(|v| v & 0xffff_ffff)
                    && verdict > most
                {
                    let message = format!("returns {verdict}, which the card takes for an aborted program");
                    self.broken(Rule::Verdict, spot, message);
                }
            }
            (ProgramType::Classifier, _, Some(taken)) => {
                match given.dst.range().constant() {
                    Some(verdict) if verdict > 7 || taken.contains(&verdict) => {}
                    Some(verdict) => {
                        let message = format!("returns {verdict}, which the card cannot tell the kernel");
                        self.broken(Rule::ClassifierVerdict, spot, message);
                    }
                    None => self.broken(Rule::ClassifierVerdict, spot, "it cannot be shown that the verdict returned here is one constant; return each verdict by a statement of its own"),
                }
            }
            _ => {}
        }
    }
}
