//! The dispatcher: one per publisher.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use super::handover::Handover;
use super::known::{KnownRoute, KnownRoutes, Stop};
use super::outlet::{End, Outlet};
use crate::auth::Permissions;
use crate::connection::{Connection, pool};
use crate::local::{Flush, LocalSink};
use crate::message::Message;
use crate::router::{Admission, Route, Subscription, Target};
use crate::server::Shared;
use crate::subject;

/// Outlets kept; beyond it, all are given up and found again as they are needed.
const MAX_OUTLETS: usize = 1024;
/// Time that a publisher spends per read batch on writing to its subscribers' sockets; the rest is written by tasks.
const WRITE_BUDGET: Duration = Duration::from_millis(1);

/// Takes messages from one publisher to all who get them: gathers them per subscriber, and hands them over in
/// [`flush`](Self::flush), which a publisher calls at the end of each read batch.
pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
    known: KnownRoutes,
    outlets: Vec<Outlet>,
    by_connection: HashMap<u64, usize>,
    by_sink: HashMap<usize, usize>,
    touched: Vec<usize>,
    random: u64,
    delivered: u64,
    delivered_bytes: u64,
}

/// Who publishes. The default is the process itself, which may do everything.
#[derive(Debug, Default)]
pub(crate) struct Publisher {
    pub(crate) connection: Option<Arc<Connection>>,
    /// Does not want its own messages.
    pub(crate) no_echo: bool,
    pub(crate) permissions: Option<Arc<Permissions>>,
}

/// What a publisher can know before it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination {
    position: usize,
    /// The publisher may publish there.
    pub(crate) allowed: bool,
    /// The subject has no wildcards and no empty tokens.
    pub(crate) literal: bool,
}

impl Dispatcher {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let mut seed = [0; 8];
        // Without system randomness the choice among queue members is merely predictable.
        let _ = getrandom::fill(&mut seed);
        Self {
            shared,
            known: KnownRoutes::default(),
            outlets: Vec::new(),
            by_connection: HashMap::new(),
            by_sink: HashMap::new(),
            touched: Vec::new(),
            random: u64::from_le_bytes(seed) | 1,
            delivered: 0,
            delivered_bytes: 0,
        }
    }

    /// Who would get a message on this subject now.
    pub(crate) fn route(&mut self, subject: &[u8]) -> Arc<Route> {
        let known = self.find(subject, &Publisher::default());
        match self.known.get_mut(known) {
            Some(known) => Arc::clone(&known.route),
            None => Arc::default(),
        }
    }

    /// Publishes in the name of the process.
    pub(crate) fn publish_unchecked(&mut self, message: &Message<'_>) -> usize {
        let destination = self.look_up(message.subject, &Publisher::default());
        self.publish(message, destination)
    }

    /// Where a message on this subject would go. The same publisher must be given each time, or
    /// [`forget`](Self::forget) called in between.
    pub(crate) fn look_up(&mut self, subject: &[u8], publisher: &Publisher) -> Destination {
        let position = self.find(subject, publisher);
        let Some(known) = self.known.get_mut(position) else {
            return Destination {
                position,
                allowed: false,
                literal: true,
            };
        };
        let may_respond = || {
            publisher
                .connection
                .as_ref()
                .is_some_and(|connection| connection.may_respond(subject))
        };
        Destination {
            position,
            allowed: known.allowed || may_respond(),
            literal: known.literal,
        }
    }

    /// Gathers the message for everybody who gets it, and returns how many that are. The destination was looked up for
    /// this message just before.
    pub(crate) fn publish(&mut self, message: &Message<'_>, destination: Destination) -> usize {
        let Some(known) = self.known.get_mut(destination.position) else {
            return 0;
        };
        let mut deliveries = 0;
        for stop in &known.plain {
            deliveries += usize::from(deliver(&mut self.outlets, &mut self.touched, stop, message));
        }
        for members in &known.groups {
            self.random = next_random(self.random);
            let first = usize::try_from(self.random >> 33).unwrap_or_default() % members.len().max(1);
            let (before, from) = members.split_at_checked(first).unwrap_or((&[], members));
            let mut candidates = from.iter().chain(before);
            let taken = candidates.any(|stop| deliver(&mut self.outlets, &mut self.touched, stop, message));
            deliveries += usize::from(taken);
        }
        self.delivered += u64::try_from(deliveries).unwrap_or_default();
        let size = message.headers.len() + message.payload.len();
        self.delivered_bytes += u64::try_from(size.saturating_mul(deliveries)).unwrap_or_default();
        deliveries
    }

    /// Gathers the message for the clients that get it and names the local sinks that would get it too, without handing it
    /// to them. Of each queue group one member is chosen, as in [`publish`](Self::publish). Returns how many clients.
    pub(crate) fn publish_apart(
        &mut self,
        message: &Message<'_>,
        sinks: &mut Vec<Arc<dyn LocalSink>>,
    ) -> usize {
        let destination = self.look_up(message.subject, &Publisher::default());
        let Some(known) = self.known.get_mut(destination.position) else {
            return 0;
        };
        let mut clients = 0;
        let mut take = |stop: &Stop| match &stop.subscription.target {
            Target::Local(_) if stop.subscription.admit() == Admission::Refuse => false,
            Target::Local(sink) => {
                sinks.push(Arc::clone(sink));
                true
            }
            Target::Remote(_) => {
                let taken = deliver(&mut self.outlets, &mut self.touched, stop, message);
                clients += usize::from(taken);
                taken
            }
        };
        for stop in &known.plain {
            take(stop);
        }
        for members in &known.groups {
            self.random = next_random(self.random);
            let first = usize::try_from(self.random >> 33).unwrap_or_default() % members.len().max(1);
            let (before, from) = members.split_at_checked(first).unwrap_or((&[], members));
            let mut candidates = from.iter().chain(before);
            candidates.any(&mut take);
        }
        self.delivered += u64::try_from(clients).unwrap_or_default();
        clients
    }

    /// The buffer for what the connection itself is told, in order with messages that it gets.
    pub(crate) fn own_output(&mut self, connection: &Arc<Connection>) -> Option<&mut Vec<u8>> {
        let outlet = self.outlet_to_connection(connection);
        touch(&mut self.outlets, &mut self.touched, outlet);
        let gathered = self.outlets.get_mut(outlet)?.gathered()?;
        if gathered.capacity() == 0 {
            *gathered = pool::take();
        }
        Some(gathered)
    }

    /// Hands everything over and starts writing it.
    pub(crate) fn flush(&mut self) -> Handover {
        let mut handover = Handover::default();
        let mut started = None;
        let mut touched = std::mem::take(&mut self.touched);
        for position in touched.drain(..) {
            let Some(outlet) = self.outlets.get_mut(position) else {
                continue;
            };
            outlet.touched = false;
            match &mut outlet.end {
                End::Local { batch, .. } => {
                    if let Flush::Wait(wait) = batch.flush() {
                        handover.full_sinks.push(wait);
                    }
                }
                End::Remote { connection, gathered } => {
                    connection.push(gathered);
                    pool::give(std::mem::take(gathered));
                    if started.get_or_insert_with(Instant::now).elapsed() < WRITE_BUDGET {
                        connection.write();
                    } else {
                        connection.write_elsewhere();
                    }
                    if connection.must_stall() {
                        handover.stalled.push(Arc::clone(connection));
                    }
                }
            }
        }
        self.touched = touched;
        self.shared.counters.sent(
            std::mem::take(&mut self.delivered),
            std::mem::take(&mut self.delivered_bytes),
        );
        handover
    }

    /// Drops what was learnt; for a publisher that becomes another.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }

    /// The position of the subject's route among the known ones, worked out or confirmed if need be.
    fn find(&mut self, subject: &[u8], publisher: &Publisher) -> usize {
        let generation = self.shared.router.generation();
        let position = self.known.position(subject);
        if let Some(position) = position
            && let Some(known) = self.known.get_mut(position)
        {
            if known.generation == generation {
                return position;
            }
            let route = self.shared.router.route(subject);
            if Arc::ptr_eq(&route, &known.route) {
                known.generation = generation;
                return position;
            }
            return self.learn(subject, route, generation, publisher);
        }
        if self.known.is_full() {
            self.known.clear();
        }
        let route = self.shared.router.route(subject);
        self.learn(subject, route, generation, publisher)
    }

    fn learn(&mut self, subject: &[u8], route: Arc<Route>, generation: u64, publisher: &Publisher) -> usize {
        if self.outlets.len() >= MAX_OUTLETS && self.touched.is_empty() {
            self.known.clear();
            self.outlets.clear();
            self.by_connection.clear();
            self.by_sink.clear();
        }
        let plain = self.stops(&route.plain, subject, publisher);
        let groups = route
            .groups
            .iter()
            .map(|group| self.stops(&group.members, subject, publisher))
            .collect();
        let reserved = publisher.connection.is_some() && self.shared.is_reserved(subject);
        let permissions = publisher.permissions.as_ref();
        let allowed = !reserved && permissions.is_none_or(|permissions| permissions.may_publish(subject));
        let literal = subject::is_literal(subject);
        let subject = subject.into();
        self.known.put(KnownRoute {
            subject,
            generation,
            route,
            plain,
            groups,
            allowed,
            literal,
        })
    }

    /// The subscriptions that may have this publisher's messages on this subject.
    fn stops(
        &mut self,
        subscriptions: &[Arc<Subscription>],
        subject: &[u8],
        publisher: &Publisher,
    ) -> Vec<Stop> {
        let own = publisher
            .connection
            .as_ref()
            .filter(|_| publisher.no_echo)
            .map(|connection| connection.id);
        let mut stops = Vec::with_capacity(subscriptions.len());
        for subscription in subscriptions {
            let outlet = match &subscription.target {
                Target::Remote(connection)
                    if Some(connection.id) == own || connection.is_delivery_denied(subject) =>
                {
                    continue;
                }
                Target::Remote(connection) => self.outlet_to_connection(connection),
                Target::Local(sink) => {
                    let key = Arc::as_ptr(sink).cast::<()>().addr();
                    let outlets = &mut self.outlets;
                    *self
                        .by_sink
                        .entry(key)
                        .or_insert_with(|| add(outlets, Outlet::to_sink(Arc::clone(sink))))
                }
            };
            stops.push(Stop {
                outlet,
                subscription: Arc::clone(subscription),
            });
        }
        stops
    }

    fn outlet_to_connection(&mut self, connection: &Arc<Connection>) -> usize {
        let outlets = &mut self.outlets;
        let new = || add(outlets, Outlet::to_connection(Arc::clone(connection)));
        *self.by_connection.entry(connection.id).or_insert_with(new)
    }
}

fn add(outlets: &mut Vec<Outlet>, outlet: Outlet) -> usize {
    outlets.push(outlet);
    outlets.len() - 1
}

fn touch(outlets: &mut [Outlet], touched: &mut Vec<usize>, position: usize) {
    if let Some(outlet) = outlets.get_mut(position)
        && !outlet.touched
    {
        outlet.touched = true;
        touched.push(position);
    }
}

/// Whether the subscription took it.
fn deliver(outlets: &mut [Outlet], touched: &mut Vec<usize>, stop: &Stop, message: &Message<'_>) -> bool {
    let admission = stop.subscription.admit();
    if admission == Admission::Refuse {
        return false;
    }
    touch(outlets, touched, stop.outlet);
    if let Some(outlet) = outlets.get_mut(stop.outlet) {
        outlet.push(&stop.subscription.sid, message);
    }
    if admission == Admission::DeliverLast
        && let Target::Remote(connection) = &stop.subscription.target
    {
        connection.end_subscription(&stop.subscription);
    }
    true
}

/// Xorshift: good enough to spread load.
fn next_random(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}
