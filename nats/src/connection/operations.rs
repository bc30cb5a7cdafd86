//! What each operation does.

use std::sync::Arc;
use std::time::Instant;

use super::Connection;
use super::close::CloseReason;
use super::connect::ConnectOptions;
use super::pings::{Pings, Tick};
use crate::auth::{Denied, Identity};
use crate::delivery::{Dispatcher, Publisher};
use crate::message::Message;
use crate::protocol::{Operation, Parser, Publish, write_error, write_message};
use crate::router::{Subscription, Target};
use crate::subject;

/// Everything of a connection but its reading: turns operations into effects, without ever waiting.
pub(super) struct Desk {
    pub(super) connection: Arc<Connection>,
    pub(super) parser: Parser,
    pub(super) dispatcher: Dispatcher,
    pub(super) pings: Pings,
    publisher: Publisher,
    options: ConnectOptions,
    admission: Admission,
    greeted: bool,
    active: bool,
    received: u64,
    received_bytes: u64,
}

/// Whether the client may do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// It must CONNECT first.
    Awaited,
    /// No credentials are asked for, or it may begin as somebody without any.
    Open,
    Connected,
}

/// What comes after an operation.
#[derive(Debug)]
pub(super) enum Step {
    Continue,
    /// The client wants to be somebody; [`Desk::admit`] or the end.
    Authenticate(Box<ConnectOptions>),
    Close(CloseReason),
}

impl Desk {
    pub(super) fn new(
        connection: Arc<Connection>,
        pings: Pings,
        newcomer: Result<Option<Identity>, Denied>,
    ) -> Self {
        let shared = Arc::clone(&connection.shared);
        let parser = Parser::new(shared.limits.max_control_line, shared.max_payload());
        let options = ConnectOptions::default();
        let admission = match newcomer {
            Ok(identity) => {
                connection.adopt(&options, identity.as_ref());
                Admission::Open
            }
            Err(Denied) => Admission::Awaited,
        };
        Self {
            parser,
            dispatcher: Dispatcher::new(shared),
            pings,
            publisher: Publisher {
                permissions: connection.permissions(),
                connection: Some(Arc::clone(&connection)),
                ..Publisher::default()
            },
            connection,
            options,
            admission,
            greeted: false,
            active: false,
            received: 0,
            received_bytes: 0,
        }
    }

    /// Whether credentials are still owed.
    pub(super) fn is_waiting_for_connect(&self) -> bool {
        self.admission == Admission::Awaited
    }

    /// Does what the operation says.
    pub(super) fn handle(&mut self, operation: Operation<'_>) -> Step {
        match operation {
            Operation::Publish(publish) if self.admission != Admission::Awaited => self.publish(&publish),
            Operation::Connect(json) => return self.connect(json),
            // Harmless from anybody.
            Operation::Ok => {}
            Operation::Info(json) => {
                if serde_json::from_slice::<serde::de::IgnoredAny>(json).is_err() {
                    return Step::Close(CloseReason::Protocol(None));
                }
            }
            Operation::Error(_) => return Step::Close(CloseReason::ClientError),
            _ if self.admission == Admission::Awaited => {
                return Step::Close(CloseReason::AuthorizationViolation);
            }
            Operation::Ping => self.ping(),
            Operation::Pong => self.pings.answered(Instant::now()),
            Operation::Subscribe { filter, queue, sid } => self.subscribe(filter, queue, sid),
            Operation::Unsubscribe { sid, max } => self.unsubscribe(sid, max),
            Operation::Publish(_) => {}
        }
        Step::Continue
    }

    fn connect(&mut self, json: &[u8]) -> Step {
        let Some(options) = ConnectOptions::parse(json) else {
            return Step::Close(CloseReason::Protocol(None));
        };
        if options.account.is_some() {
            return Step::Close(CloseReason::AuthorizationViolation);
        }
        if self.connection.shared.authenticator.is_configured() {
            return Step::Authenticate(Box::new(options));
        }
        self.admit(options, None)
    }

    /// The client is who it says.
    pub(super) fn admit(&mut self, options: ConnectOptions, identity: Option<&Identity>) -> Step {
        if !(0..=1).contains(&options.protocol) {
            return Step::Close(CloseReason::InvalidClientProtocol);
        }
        if options.no_responders && !options.headers {
            return Step::Close(CloseReason::NoRespondersNeedsHeaders);
        }
        if self.admission == Admission::Connected {
            // It may be somebody else now.
            self.connection.end_all_subscriptions();
        }
        self.connection.adopt(&options, identity);
        self.parser.allow_headers(options.headers);
        self.publisher.no_echo = !options.echo;
        self.publisher.permissions = self.connection.permissions();
        self.dispatcher.forget();
        self.admission = Admission::Connected;
        self.options = options;
        self.active = true;
        self.confirm();
        Step::Continue
    }

    fn ping(&mut self) {
        self.active = true;
        self.say(b"PONG\r\n");
        // The first one that follows a CONNECT: clients read exactly one line before the PONG, so this comes after it.
        if self.admission == Admission::Connected && !self.greeted && self.connection.takes_info() {
            self.greeted = true;
            let info = self.connection.shared.info.second(self.connection.id);
            self.say(&info);
        }
    }

    fn subscribe(&mut self, filter: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
        self.active = true;
        let permissions = self.publisher.permissions.as_deref();
        if permissions.is_some_and(|permissions| !permissions.may_subscribe(filter, queue)) {
            let group = queue
                .map(|name| format!(" using queue {}", quoted(name)))
                .unwrap_or_default();
            return self.deny(&format!(
                "Permissions Violation for Subscription to {}{group}",
                quoted(filter)
            ));
        }
        let max_tokens = self.connection.shared.limits.max_subscription_tokens;
        if max_tokens.is_some_and(|max| subject::tokens(filter).count() > max) {
            let subject = quoted(filter);
            return self.deny(&format!(
                "Permissions Violation for Subscription to {subject}, too many tokens"
            ));
        }
        let mut subscriptions = self.connection.subscriptions.lock();
        if subscriptions.contains_key(sid) {
            drop(subscriptions);
            return self.confirm();
        }
        let refused = if self
            .connection
            .shared
            .limits
            .max_subscriptions
            .is_some_and(|max| subscriptions.len() >= max)
        {
            Some("maximum subscriptions exceeded")
        } else if subject::is_filter(filter) {
            None
        } else {
            Some("Invalid Subject")
        };
        if let Some(text) = refused {
            drop(subscriptions);
            return self.deny(text);
        }
        let target = Target::Remote(Arc::clone(&self.connection));
        let subscription = Arc::new(Subscription::new(filter, queue, sid, target));
        subscriptions.insert(sid.into(), Arc::clone(&subscription));
        drop(subscriptions);
        self.connection.shared.router.insert(subscription);
        self.confirm();
    }

    fn unsubscribe(&mut self, sid: &[u8], max: Option<u64>) {
        self.active = true;
        let subscription = self.connection.subscriptions.lock().get(sid).cloned();
        if let Some(subscription) = subscription
            && !max.is_some_and(|max| subscription.limit_to(max))
        {
            self.connection.end_subscription(&subscription);
        }
        self.confirm();
    }

    fn publish(&mut self, publish: &Publish<'_>) {
        self.active = true;
        self.received += 1;
        let size = publish.headers.len() + publish.payload.len();
        self.received_bytes += u64::try_from(size).unwrap_or_default();
        let destination = self.dispatcher.look_up(publish.subject, &self.publisher);
        if !destination.allowed {
            return self.deny(&format!(
                "Permissions Violation for Publish to {}",
                quoted(publish.subject)
            ));
        }
        if self.options.pedantic && !destination.literal {
            self.deny("Invalid Publish Subject");
        }
        self.confirm();
        let message = Message {
            subject: publish.subject,
            reply: publish.reply,
            headers: publish.headers,
            payload: publish.payload,
        };
        let deliveries = self.dispatcher.publish(&message, destination);
        if deliveries == 0
            && self.options.no_responders
            && let Some(reply) = publish.reply
        {
            self.report_no_responders(publish.subject, reply);
        }
    }

    /// Tells the requester on its own inbox that nobody got the request.
    fn report_no_responders(&mut self, subject: &[u8], reply: &[u8]) {
        let route = self.connection.shared.router.route(reply);
        let members = route.groups.iter().flat_map(|group| &group.members);
        let own = route
            .plain
            .iter()
            .chain(members)
            .find(|subscription| match &subscription.target {
                Target::Remote(connection) => connection.id == self.connection.id,
                Target::Local(_) => false,
            });
        let Some(own) = own else { return };
        let headers = [b"NATS/1.0 503\r\nNats-Subject: ", subject, b"\r\n\r\n"].concat();
        let message = Message {
            subject: reply,
            reply: None,
            headers: &headers,
            payload: b"",
        };
        if let Some(out) = self.dispatcher.own_output(&self.connection) {
            write_message(out, &own.sid, &message, true);
        }
    }

    /// The appointed time of a ping has come.
    pub(super) fn tick(&mut self, now: Instant) -> Step {
        match self.pings.tick(now) {
            Tick::Quiet => {}
            Tick::Ping => self.say(b"PING\r\n"),
            Tick::Stale => return Step::Close(CloseReason::StaleConnection),
        }
        Step::Continue
    }

    /// Notes what the read batch amounted to.
    pub(super) fn end_batch(&mut self) {
        if std::mem::take(&mut self.active) {
            self.pings.active(Instant::now());
        }
        let shared = &self.connection.shared;
        shared.counters.received(
            std::mem::take(&mut self.received),
            std::mem::take(&mut self.received_bytes),
        );
        self.parser.set_max_payload(shared.max_payload());
    }

    pub(super) fn say(&mut self, bytes: &[u8]) {
        if let Some(out) = self.dispatcher.own_output(&self.connection) {
            out.extend_from_slice(bytes);
        }
    }

    pub(super) fn deny(&mut self, text: &str) {
        if let Some(out) = self.dispatcher.own_output(&self.connection) {
            write_error(out, text);
        }
    }

    fn confirm(&mut self) {
        if self.options.verbose {
            self.say(b"+OK\r\n");
        }
    }
}

/// A subject in double quotes, with quotes and control characters escaped.
fn quoted(subject: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(subject)).replace("\\'", "'")
}
