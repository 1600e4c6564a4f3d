//! All machine code of one program: which functions it takes, and how they are put together.

use std::collections::BTreeMap;

use cranelift_codegen::Context;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{AbiParam, FuncRef, Function, InstBuilder, MemFlagsData, Signature};
use cranelift_codegen::isa::{CallConv, TargetFrontendConfig};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{FuncId, Linkage, Module as _, ModuleError, default_libcall_names};
use hoist_bpf::module::{FunctionId, MapId};

use super::super::code::{Code, Op};
use super::super::proof::{Proof, Proofs};
use super::function::{Role, Translator};
use super::{Input, NotCompiled, ValueMemory};

/// What is being compiled.
pub(super) struct Unit<'b> {
    input: &'b Input,
    module: JITModule,
    context: Context,
    functions: BTreeMap<(FunctionId, Role), FuncId>,
    /// Declared, not defined yet.
    waiting: Vec<(FunctionId, Role)>,
    /// Added to a VM address of the stack, it gives the address in this process.
    pub(super) stack_delta: i64,
    /// Keep all checks; what is proven and does not hold is a fault.
    pub(super) paranoid: bool,
}

/// Machine code, ready to run. The addresses are valid for as long as the module lives.
pub(super) struct Finished {
    pub(super) module: JITModule,
    pub(super) program: usize,
    pub(super) subprograms: Vec<Option<usize>>,
    pub(super) callbacks: Vec<Option<usize>>,
}

fn failed(error: &ModuleError) -> NotCompiled {
    NotCompiled(format!("generating machine code: {error:?}"))
}

impl<'b> Unit<'b> {
    pub(super) fn new(input: &'b Input) -> Result<Self, NotCompiled> {
        let mut flags = settings::builder();
        let verifier = if cfg!(debug_assertions) { "true" } else { "false" };
        for (name, value) in [
            ("opt_level", "speed"),
            ("enable_verifier", verifier),
            ("unwind_info", "false"),
            ("use_colocated_libcalls", "false"),
            ("is_pic", "false"),
        ] {
            flags.set(name, value).map_err(|error| {
                NotCompiled(format!("setting Cranelift's {name} to {value}: {error}"))
            })?;
        }
        let host = cranelift_native::builder()
            .map_err(|reason| NotCompiled(format!("no code generator for this CPU: {reason}")))?;
        let isa = host
            .finish(settings::Flags::new(flags))
            .map_err(|error| NotCompiled(format!("setting up the code generator: {error}")))?;
        let module = JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()));
        Ok(Self {
            context: module.make_context(),
            module,
            input,
            functions: BTreeMap::new(),
            waiting: Vec::new(),
            stack_delta: input.stack.wrapping_sub(super::super::address::STACK).cast_signed(),
            paranoid: input.paranoid,
        })
    }

    pub(super) fn code(&self) -> &'b Code {
        &self.input.code
    }

    pub(super) fn region(&self, map: MapId) -> Option<&'b ValueMemory> {
        self.input.values.get(map.0 as usize)?.as_ref()
    }

    pub(super) fn call_conv(&self) -> CallConv {
        self.module.isa().default_call_conv()
    }

    pub(super) fn frontend_config(&self) -> TargetFrontendConfig {
        self.module.target_config()
    }

    pub(super) fn signature(&self, role: Role) -> Signature {
        let (params, results) = match role {
            Role::Program => (1, 1),
            Role::Subprogram => (6, 2),
            Role::Callback => (2, 1),
        };
        let mut signature = Signature::new(self.call_conv());
        signature.params = vec![AbiParam::new(I64); params];
        signature.returns = vec![AbiParam::new(I64); results];
        signature
    }

    /// The machine function for a function in a role; it will be defined.
    pub(super) fn declare(
        &mut self,
        function: FunctionId,
        role: Role,
    ) -> Result<FuncId, NotCompiled> {
        if let Some(id) = self.functions.get(&(function, role)) {
            return Ok(*id);
        }
        let name = format!("{role:?}{}", function.0);
        let signature = self.signature(role);
        let id = self
            .module
            .declare_function(&name, Linkage::Local, &signature)
            .map_err(|error| failed(&error))?;
        self.functions.insert((function, role), id);
        self.waiting.push((function, role));
        Ok(id)
    }

    pub(super) fn import(&mut self, id: FuncId, into: &mut Function) -> FuncRef {
        self.module.declare_func_in_func(id, into)
    }

    /// Declares and defines everything that can run.
    pub(super) fn finish(mut self) -> Result<Finished, NotCompiled> {
        let program = self.declare(self.input.program, Role::Program)?;
        let mut builder = FunctionBuilderContext::new();
        let mut tail_calls = false;
        while let Some((function, role)) = self.waiting.pop() {
            let Some(body) = self.input.code.functions.get(function.0 as usize) else {
                return Err(NotCompiled(format!("function {} does not exist", function.0)));
            };
            for op in &body.ops {
                match *op {
                    Op::LoadImm { value, .. } => self.declare_callback(value)?,
                    Op::TailCall if !tail_calls => {
                        tail_calls = true;
                        for target in self.input.targets.clone() {
                            self.declare(target, Role::Subprogram)?;
                        }
                    }
                    _ => {}
                }
            }
            self.define(&mut builder, function, role)?;
        }
        self.module.finalize_definitions().map_err(|error| failed(&error))?;
        let count = self.input.code.functions.len();
        let (mut subprograms, mut callbacks) = (vec![None; count], vec![None; count]);
        for (&(function, role), &id) in &self.functions {
            let address = self.module.get_finalized_function(id) as usize;
            match role {
                Role::Program => {}
                Role::Subprogram => subprograms[function.0 as usize] = Some(address),
                Role::Callback => callbacks[function.0 as usize] = Some(address),
            }
        }
        let program = self.module.get_finalized_function(program) as usize;
        Ok(Finished { module: self.module, program, subprograms, callbacks })
    }

    /// A constant that is a function's handle may be called back.
    fn declare_callback(&mut self, value: u64) -> Result<(), NotCompiled> {
        let function = super::super::address::addressed_function(value)
            .filter(|function| (function.0 as usize) < self.input.code.functions.len());
        if let Some(function) = function {
            self.declare(function, Role::Callback)?;
        }
        Ok(())
    }

    fn define(
        &mut self,
        reused: &mut FunctionBuilderContext,
        function: FunctionId,
        role: Role,
    ) -> Result<(), NotCompiled> {
        let id = self.declare(function, role)?;
        let mut context = std::mem::replace(&mut self.context, Context::new());
        self.module.clear_context(&mut context);
        context.func.signature = self.signature(role);
        let builder = FunctionBuilder::new(&mut context.func, reused);
        if role == Role::Callback {
            self.callback(builder, function)?;
        } else {
            let input = self.input;
            let body = &input.code.functions[function.0 as usize];
            let proofs: &[Proof] =
                input.proofs.get(function.0 as usize).map_or(&[], |proofs: &Proofs| &proofs.ops);
            Translator::new(self, builder, function, body, proofs, role).translate()?;
        }
        let defined = self.module.define_function(id, &mut context);
        self.context = context;
        defined.map_err(|error| failed(&error))
    }

    /// By which routines call a function: takes the run and `r1` to `r5` in memory. Whether there
    /// was a fault, the routine asks the run.
    fn callback(
        &mut self,
        mut builder: FunctionBuilder<'_>,
        function: FunctionId,
    ) -> Result<(), NotCompiled> {
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        let (run, registers) = (builder.block_params(entry)[0], builder.block_params(entry)[1]);
        let mut args = vec![run];
        for number in 0..5 {
            args.push(builder.ins().load(I64, MemFlagsData::trusted(), registers, 8 * number));
        }
        let callee = self.declare(function, Role::Subprogram)?;
        let callee = self.import(callee, builder.func);
        let call = builder.ins().call(callee, &args);
        let result = builder.inst_results(call)[0];
        builder.ins().return_(&[result]);
        builder.seal_all_blocks();
        builder.finalize(self.frontend_config());
        Ok(())
    }
}
