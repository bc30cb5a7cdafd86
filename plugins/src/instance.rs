//! One instance of a plugin, ready to be asked.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use wasmtime::component::{ComponentNamedList, Lift, Lower, TypedFunc};
use wasmtime::{AsContext, Store};

use crate::failure::{Cause, Failure};
use crate::guest::Guest;
use crate::log::{PluginLog, told};
use crate::module::Compiled;
use crate::needs::Needs;
use crate::settings::Limits;
use crate::ticker::Ticker;

/// What `init` takes.
pub(crate) type Settings = (&'static str,);
/// What `init` returns.
pub(crate) type Started = (Result<Needs, String>,);
/// What `judge`, `explain` and `extract` take.
pub(crate) type Bytes = (&'static [u8],);
/// What `judge` and `extract` return.
pub(crate) type Verdicts = (Vec<u8>,);
/// What `explain` returns.
pub(crate) type Texts = (Vec<String>,);

/// Most bytes that a call may hand to the host: 8 for each of the most records, and keys of the largest batch.
const ANSWER_BYTES: usize = 16 << 20;
/// Most handles of WASI's resources at once.
const HANDLES: usize = 10_000;

/// Everything that instances of an attachment have in common.
pub(crate) struct Plan {
    pub(crate) module: Arc<Compiled>,
    pub(crate) settings: String,
    pub(crate) limits: Limits,
    pub(crate) table_elements: usize,
    pub(crate) init_time: Duration,
    /// Memory of all instances.
    pub(crate) memory: Arc<AtomicU64>,
    pub(crate) log: Arc<PluginLog>,
    pub(crate) ticker: Arc<Ticker>,
}

/// Why there is no instance.
pub(crate) enum StartError {
    /// The plugin refuses the settings.
    Settings(String),
    /// It failed.
    Failure(Failure),
}

/// One instance of a plugin. After a failed call it must not be asked again.
pub(crate) struct Instance {
    store: Store<Guest>,
    ticker: Arc<Ticker>,
    ask: TypedFunc<Bytes, Verdicts>,
    explain: Option<TypedFunc<Bytes, Texts>>,
}

impl Instance {
    /// Makes one and lets it read the settings.
    pub(crate) fn start(plan: &Plan, allowed: Duration) -> Result<(Self, Needs), StartError> {
        let guest = Guest::new(
            plan.limits.memory_bytes,
            plan.table_elements,
            plan.memory.clone(),
            plan.log.clone(),
        );
        let mut store = Store::new(plan.module.engine(), guest);
        store.limiter(|guest| guest);
        store.set_hostcall_fuel(ANSWER_BYTES);
        store.set_max_component_handles(HANDLES);
        store.set_epoch_deadline(Ticker::ticks(allowed));
        let running = plan.ticker.enter();
        let started = Self::instantiate(plan, &mut store);
        drop(running);
        store.data_mut().end_call();
        let failed = |error: wasmtime::Error, store: &Store<Guest>| {
            StartError::Failure(Failure::of_call("init", &error, store.data()))
        };
        match started {
            Ok((Ok(needs), ask, explain)) => {
                let ticker = plan.ticker.clone();
                Ok((
                    Self {
                        store,
                        ticker,
                        ask,
                        explain,
                    },
                    needs,
                ))
            }
            Ok((Err(refusal), ..)) => Err(StartError::Settings(told(&refusal))),
            Err(error) => Err(failed(error, &store)),
        }
    }

    #[expect(
        clippy::type_complexity,
        reason = "the parts of an instance on their way into it"
    )]
    fn instantiate(
        plan: &Plan,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<(
        Result<Needs, String>,
        TypedFunc<Bytes, Verdicts>,
        Option<TypedFunc<Bytes, Texts>>,
    )> {
        let linked = plan.module.linked();
        let instance = linked.pre.instantiate(&mut *store)?;
        let ask = instance.get_typed_func(&mut *store, linked.exports.ask)?;
        let explain = match &linked.exports.explain {
            Some(explain) => Some(instance.get_typed_func(&mut *store, explain)?),
            None => None,
        };
        let init: TypedFunc<(&str,), Started> = instance.get_typed_func(&mut *store, linked.exports.init)?;
        let (needs,) = init.call(store, (plan.settings.as_str(),))?;
        Ok((needs, ask, explain))
    }

    /// Linear memory in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.store.data().memory()
    }

    /// Asks about a batch.
    pub(crate) fn ask(&mut self, name: &str, batch: &[u8], allowed: Duration) -> Result<Vec<u8>, Failure> {
        let ask: TypedFunc<(&[u8],), Verdicts> = self.ask;
        self.call(name, ask, (batch,), allowed).map(|(answer,)| answer)
    }

    /// Asks for reasons.
    pub(crate) fn explain(&mut self, batch: &[u8], allowed: Duration) -> Result<Vec<String>, Failure> {
        let Some(explain) = self.explain else {
            return Ok(Vec::new());
        };
        let explain: TypedFunc<(&[u8],), Texts> = explain;
        self.call("explain", explain, (batch,), allowed)
            .map(|(texts,)| texts)
    }

    fn call<Params, Return>(
        &mut self,
        name: &str,
        function: TypedFunc<Params, Return>,
        params: Params,
        allowed: Duration,
    ) -> Result<Return, Failure>
    where
        Params: ComponentNamedList + Lower,
        Return: ComponentNamedList + Lift,
    {
        self.store.data_mut().begin_call();
        self.store.set_epoch_deadline(Ticker::ticks(allowed));
        let running = self.ticker.enter();
        let answer = function.call(&mut self.store, params);
        drop(running);
        self.store.data_mut().end_call();
        answer.map_err(|error| Failure::of_call(name, &error, self.store.as_context().data()))
    }
}

impl StartError {
    /// The failure of a record whose plugin did not start.
    pub(crate) fn into_failure(self) -> Failure {
        match self {
            Self::Settings(refusal) => Failure::new(
                Cause::Start,
                format!("the plugin refuses its settings: {refusal}"),
            ),
            Self::Failure(failure) => failure,
        }
    }
}
