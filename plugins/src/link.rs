//! Gives a component its imports and finds its exports.

use wasmtime::component::types::{self, ComponentItem};
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, InstancePre, Lift, Linker, LinkerInstance, Lower,
};
use wasmtime::{Engine, StoreContextMut};

use crate::error::LoadError;
use crate::guest::Guest;
use crate::inspect::{ModuleInfo, World};
use crate::instance::{Bytes, Settings, Started, Texts, Verdicts};
use crate::log::{Level, told};
use crate::wasi;

/// A component with its imports, ready to be instantiated.
pub(crate) struct Linked {
    pub(crate) pre: InstancePre<Guest>,
    pub(crate) exports: Exports,
}

/// Where the functions of the contract are.
pub(crate) struct Exports {
    pub(crate) init: ComponentExportIndex,
    /// `judge` or `extract`.
    pub(crate) ask: ComponentExportIndex,
    /// Of filters.
    pub(crate) explain: Option<ComponentExportIndex>,
}

impl Linked {
    pub(crate) fn new(engine: &Engine, component: &Component, info: &ModuleInfo) -> Result<Self, LoadError> {
        let exports = Finder {
            engine,
            component,
            info,
        }
        .exports()?;
        let pre = with_imports(engine, component)
            .map_err(|error| LoadError::Compile(told(&format!("{error:#}"))))?;
        Ok(Self { pre, exports })
    }
}

fn with_imports(engine: &Engine, component: &Component) -> wasmtime::Result<InstancePre<Guest>> {
    let mut linker: Linker<Guest> = Linker::new(engine);
    for (name, import) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(instance) = import.ty else {
            wasmtime::bail!("the import {name} is not an interface");
        };
        let (interface, _) = name.split_once('@').unwrap_or((name, ""));
        let mut room = linker.instance(name)?;
        if interface == "strandline:plugin/log" {
            room.func_wrap(
                "write",
                |store: StoreContextMut<'_, Guest>, (level, message): (Level, String)| {
                    store.data().log(level, &message);
                    Ok(())
                },
            )?;
        } else {
            define_all(engine, &mut room, interface, &instance)?;
        }
    }
    linker.instantiate_pre(component)
}

fn define_all(
    engine: &Engine,
    room: &mut LinkerInstance<'_, Guest>,
    interface: &str,
    instance: &types::ComponentInstance,
) -> wasmtime::Result<()> {
    for (name, item) in instance.exports(engine) {
        wasi::define(room, interface, name, &item.ty)?;
    }
    Ok(())
}

/// Finds the functions of the contract and checks their types, so that no call fails for them later.
struct Finder<'a> {
    engine: &'a Engine,
    component: &'a Component,
    info: &'a ModuleInfo,
}

impl Finder<'_> {
    fn exports(&self) -> Result<Exports, LoadError> {
        let init = self.function::<Settings, Started>("init")?;
        Ok(match self.info.world {
            World::Filter => Exports {
                init,
                ask: self.function::<Bytes, Verdicts>("judge")?,
                explain: Some(self.function::<Bytes, Texts>("explain")?),
            },
            World::KeyExtractor => Exports {
                init,
                ask: self.function::<Bytes, Verdicts>("extract")?,
                explain: None,
            },
        })
    }

    fn function<Params, Return>(&self, name: &'static str) -> Result<ComponentExportIndex, LoadError>
    where
        Params: ComponentNamedList + Lower,
        Return: ComponentNamedList + Lift,
    {
        let wrong = |problem: String| LoadError::WrongSignature {
            function: name,
            problem,
        };
        let component = self.component.component_type();
        let interface = component
            .get_export(self.engine, &self.info.interface)
            .map(|export| export.ty);
        let Some(ComponentItem::ComponentInstance(interface)) = interface else {
            return Err(wrong(format!("{} is not an interface", self.info.interface)));
        };
        let Some(ComponentItem::ComponentFunc(function)) =
            interface.get_export(self.engine, name).map(|export| export.ty)
        else {
            return Err(wrong("it is not there".to_owned()));
        };
        function
            .typecheck::<Params, Return>(&component.instance_type())
            .map_err(|error| wrong(format!("{error:#}")))?;
        self.component
            .get_export_index(None, &self.info.interface)
            .and_then(|interface| self.component.get_export_index(Some(&interface), name))
            .ok_or_else(|| wrong("it is not there".to_owned()))
    }
}
