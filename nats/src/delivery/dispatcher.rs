//! The dispatcher: one per publisher.

use std::sync::Arc;

use super::handover::Handover;
use super::known::{KnownRoute, KnownRoutes, Stop};
use super::outlets::Outlets;
use crate::auth::Permissions;
use crate::connection::Connection;
use crate::local::LocalSink;
use crate::message::Message;
use crate::router::{Admission, Route, Subscription, Target};
use crate::server::Shared;
use crate::subject;

/// Takes messages from one publisher to all who get them: gathers them per subscriber, and hands them over in
/// [`flush`](Self::flush), which a publisher calls at the end of each read batch.
pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
    known: KnownRoutes,
    outlets: Outlets,
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
            outlets: Outlets::default(),
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
            deliveries += usize::from(self.outlets.deliver(stop, message));
        }
        for members in &known.groups {
            self.random = next_random(self.random);
            let first = usize::try_from(self.random >> 33).unwrap_or_default() % members.len().max(1);
            let (before, from) = members.split_at_checked(first).unwrap_or((&[], members));
            let mut candidates = from.iter().chain(before);
            let taken = candidates.any(|stop| self.outlets.deliver(stop, message));
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
                let taken = self.outlets.deliver(stop, message);
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
        self.outlets.own_output(connection)
    }

    /// Hands everything over and starts writing it.
    pub(crate) fn flush(&mut self) -> Handover {
        let handover = self.outlets.hand_over();
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
        if self.outlets.make_room() {
            self.known.clear();
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
            if let Target::Remote(connection) = &subscription.target
                && (Some(connection.id) == own || connection.is_delivery_denied(subject))
            {
                continue;
            }
            let outlet = self.outlets.position(&subscription.target);
            stops.push(Stop {
                outlet,
                subscription: Arc::clone(subscription),
            });
        }
        stops
    }
}

/// Xorshift: good enough to spread load.
fn next_random(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}
