//! Takes out of the WebAssembly what can never run, but what a linker cannot know.
//!
//! Leptos keeps several ways of bringing a page alive in one table per type of view. The console
//! uses one of them, `hydrate_body`; the table keeps the others in the module, a tenth of it.
//!
//! Should a later release of Leptos call one after all, it ends in `unreachable`: `hydrate()` fails
//! and the page goes on in basic mode, as the browser tests would tell.

use anyhow::{Result, bail};
use walrus::{FunctionBuilder, FunctionKind, Module};

/// What stands in the names of functions that nobody calls: hydration that waits for lazy routes,
/// hydration of copied templates, and the list of routes that a server makes.
const NEVER_CALLED: [&str; 3] = ["hydrate_async", "hydrate_from_template", "generate_routes"];

/// Smaller functions stay. They weigh nothing, and the compiler may have folded one of them into
/// another of the same instructions that is called.
const SMALL: u64 = 60;

/// Replaces the bodies of the functions that are never called.
pub(crate) fn remove_unreachable(module: &mut Module) -> Result<()> {
    let victims: Vec<_> = module
        .funcs
        .iter_local()
        .filter(|(id, function)| {
            let name = module.funcs.get(*id).name.as_deref().unwrap_or_default();
            is_never_called(name) && function.size() > SMALL
        })
        .map(|(id, function)| (id, function.ty(), function.args.clone()))
        .collect();
    if victims.is_empty() {
        bail!("no function bears a name of {NEVER_CALLED:?}: this release of Leptos has others");
    }
    for (id, signature, arguments) in victims {
        let (parameters, results) = module.types.params_results(signature);
        let (parameters, results) = (parameters.to_vec(), results.to_vec());
        let mut body = FunctionBuilder::new(&mut module.types, &parameters, &results);
        body.func_body().unreachable();
        module.funcs.get_mut(id).kind = FunctionKind::Local(body.local_func(arguments));
    }
    Ok(())
}

/// Whether a function's name, mangled or not, is one of [`NEVER_CALLED`], and not of what such a
/// function's types need elsewhere, such as dropping them.
fn is_never_called(name: &str) -> bool {
    NEVER_CALLED.iter().any(|word| name.contains(word)) && !name.contains("drop_in_place")
}

#[cfg(test)]
mod tests {
    use walrus::ModuleConfig;

    use super::*;

    /// A module with a function of this name, the sum of many constants.
    fn module(name: &str, length: i32) -> Module {
        let mut module = Module::with_config(ModuleConfig::new());
        let mut function = FunctionBuilder::new(&mut module.types, &[], &[walrus::ValType::I32]);
        function.name(name.to_owned());
        let mut body = function.func_body();
        body.i32_const(0);
        for number in 0..length {
            body.i32_const(number).binop(walrus::ir::BinaryOp::I32Add);
        }
        let id = function.finish(Vec::new(), &mut module.funcs);
        module.exports.add("it", id);
        module
    }

    fn size(module: &Module) -> u64 {
        module.funcs.iter_local().map(|(_, function)| function.size()).sum()
    }

    #[test]
    fn function_that_is_never_called_loses_its_body() {
        let mut module = module("_ZN6tachys4view13hydrate_async28_$u7b$$u7b$closure17hE", 100);
        remove_unreachable(&mut module).unwrap();
        assert!(size(&module) < 5);
        assert!(Module::from_buffer(&module.emit_wasm()).is_ok());
    }

    #[test]
    fn module_without_such_functions_is_an_error() {
        for (name, length) in [
            ("hydrate_body", 100),
            ("hydrate_async", 3),
            ("core::ptr::drop_in_place<hydrate_async::{{closure}}>", 100),
        ] {
            let mut module = module(name, length);
            let before = size(&module);
            assert!(remove_unreachable(&mut module).is_err(), "{name}");
            assert_eq!(size(&module), before);
        }
    }
}
