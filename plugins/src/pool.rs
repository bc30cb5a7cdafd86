//! The instances of an attachment: as many as are asked at once, a few kept warm.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::failure::{Cause, Failure};
use crate::idle::{Idle, Parked};
use crate::instance::{Instance, Plan, StartError};
use crate::needs::Needs;

/// The instances of an attachment.
pub(crate) struct Pool {
    plan: Plan,
    needs: Needs,
    most: usize,
    most_idle: usize,
    state: Mutex<State>,
    freed: Condvar,
    idle: Arc<Idle>,
}

#[derive(Default)]
struct State {
    /// The last one was used last.
    idle: Vec<Parked>,
    leased: usize,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// Makes the first instance, which says what the plugin needs.
    pub(crate) fn start(
        plan: Plan,
        most: usize,
        most_idle: usize,
        idle: Arc<Idle>,
    ) -> Result<Arc<Self>, StartError> {
        let (instance, needs) = Instance::start(&plan, plan.init_time)?;
        let pool = Arc::new(Self {
            plan,
            needs,
            most: most.max(1),
            most_idle,
            state: Mutex::default(),
            freed: Condvar::new(),
            idle,
        });
        pool.idle.register(&pool);
        pool.state.lock().leased = 1;
        pool.give_back(Some(instance));
        Ok(pool)
    }

    /// What the plugin needs.
    pub(crate) fn needs(&self) -> Needs {
        self.needs
    }

    /// What all instances have in common.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The right to one instance. Waits while as many as may be are in use.
    pub(crate) fn lease(&self) -> Lease<'_> {
        let mut state = self.state.lock();
        while state.leased >= self.most {
            self.freed.wait(&mut state);
        }
        state.leased += 1;
        let parked = state.idle.pop();
        drop(state);
        Lease {
            pool: self,
            instance: parked.map(|parked| self.idle.unpark(parked)),
        }
    }

    /// Instances in use and idle.
    pub(crate) fn instances(&self) -> usize {
        let state = self.state.lock();
        state.leased + state.idle.len()
    }

    /// Since when each idle instance is.
    pub(crate) fn idle_since(&self) -> Vec<Instant> {
        self.state.lock().idle.iter().map(|parked| parked.since).collect()
    }

    /// Drops the instances that have been idle since then or longer.
    pub(crate) fn drop_idle_since(&self, since: Option<Instant>) {
        let Some(since) = since else { return };
        let old: Vec<Parked> = {
            let mut state = self.state.lock();
            state
                .idle
                .extract_if(.., |parked| parked.since <= since)
                .collect()
        };
        for parked in old {
            drop(self.idle.unpark(parked));
        }
    }

    fn give_back(&self, instance: Option<Instance>) {
        let mut state = self.state.lock();
        state.leased -= 1;
        let mut surplus = instance;
        if state.idle.len() < self.most_idle
            && let Some(instance) = surplus.take()
        {
            state.idle.push(self.idle.park(instance, Instant::now()));
        }
        drop(state);
        self.freed.notify_one();
        drop(surplus);
        self.idle.trim();
    }

    fn start_another(&self, allowed: Duration) -> Result<Instance, Failure> {
        let (instance, needs) = Instance::start(&self.plan, allowed).map_err(StartError::into_failure)?;
        if needs != self.needs {
            let text = "init answered other needs than before, with the same settings";
            return Err(Failure::new(Cause::Start, text));
        }
        Ok(instance)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for parked in std::mem::take(&mut self.state.get_mut().idle) {
            drop(self.idle.unpark(parked));
        }
    }
}

/// The right to one instance.
pub(crate) struct Lease<'a> {
    pool: &'a Pool,
    instance: Option<Instance>,
}

impl Lease<'_> {
    /// The instance, made if there is none yet. Making it may take so long.
    pub(crate) fn instance(&mut self, allowed: Duration) -> Result<&mut Instance, Failure> {
        let instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.pool.start_another(allowed)?,
        };
        Ok(self.instance.insert(instance))
    }

    /// Drops the instance, after a failed call.
    pub(crate) fn discard(&mut self) {
        self.instance = None;
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.pool.give_back(self.instance.take());
    }
}
