//! The task of one connection: reads, lets the desk work, waits.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep_until, timeout};

use super::Connection;
use super::close::CloseReason;
use super::connect::ConnectOptions;
use super::operations::{Desk, Step};
use super::pings::Pings;
use super::source::{Fill, Source};
use crate::auth::Identity;
use crate::protocol::Parsed;
use crate::server::Credentials;

/// How long the last words may take to leave.
const FAREWELL: Duration = Duration::from_secs(2);
/// After an error, what the client still sends is read for this long, so that the reset which unread bytes cause does not
/// overtake the `-ERR`.
const LINGER: Duration = Duration::from_millis(250);
/// How long a client waits for its share of the memory for unfinished payloads.
const SHARE_WAIT: Duration = Duration::from_secs(10);

/// Reads one client until it ends.
pub(super) struct Session {
    connection: Arc<Connection>,
    source: Source,
    credentials: Credentials,
    desk: Desk,
    connect_deadline: Option<Instant>,
}

impl Session {
    pub(super) fn new(connection: Arc<Connection>, source: Source, credentials: Credentials) -> Self {
        let now = Instant::now();
        let limits = &connection.shared.limits;
        let mut random = [0];
        let _ = getrandom::fill(&mut random); // Only spreads pings.
        let jitter = f64::from(random[0]) / f64::from(u8::MAX);
        let pings = Pings::new(limits.ping_interval, limits.max_pings_out, now, jitter);
        let newcomer = connection
            .shared
            .authenticator
            .newcomer(&credentials.certificates);
        let desk = Desk::new(Arc::clone(&connection), pings, newcomer);
        let connect_deadline = desk.is_waiting_for_connect().then(|| now + limits.auth_timeout);
        Self {
            connection,
            source,
            credentials,
            desk,
            connect_deadline,
        }
    }

    /// Serves the client. Ends when it leaves, errs, is too slow, or the server stops.
    pub(super) async fn run(mut self) {
        let reason = self.serve().await;
        self.end(reason).await;
    }

    async fn serve(&mut self) -> CloseReason {
        let mut timer = pin!(sleep_until(self.next_deadline().into()));
        // The client's first bytes may have come with its handshake.
        let mut fill = self.source.fill_from_handshake();
        loop {
            self.let_cipher_speak();
            if let Err(reason) = self.work().await {
                return reason;
            }
            if let Some(reason) = self.connection.close_reason() {
                return reason;
            }
            match fill {
                Fill::End => return CloseReason::Gone,
                Fill::Plenty => tokio::task::consume_budget().await,
                Fill::All | Fill::Nothing => {
                    self.source.intake.rest();
                    timer.as_mut().reset(self.next_deadline().into());
                    tokio::select! {
                        biased;
                        () = self.connection.closed() => continue,
                        () = timer.as_mut() => {
                            if let Err(reason) = self.tick() {
                                return reason;
                            }
                            fill = Fill::Nothing;
                            continue;
                        }
                        ready = self.source.readable() => if ready.is_err() {
                            return CloseReason::Gone;
                        }
                    }
                }
            }
            fill = match self.source.fill().await {
                Ok(fill) => fill,
                Err(_) => return CloseReason::Gone,
            };
        }
    }

    fn next_deadline(&self) -> Instant {
        let ping = self.desk.pings.next();
        self.connect_deadline.map_or(ping, |deadline| deadline.min(ping))
    }

    fn tick(&mut self) -> Result<(), CloseReason> {
        let now = Instant::now();
        if self.connect_deadline.is_some_and(|deadline| deadline <= now) {
            return Err(CloseReason::AuthenticationTimeout);
        }
        if self.desk.is_waiting_for_connect() {
            return Ok(()); // The deadline is near enough.
        }
        match self.desk.tick(now) {
            Step::Close(reason) => Err(reason),
            Step::Continue | Step::Authenticate(_) => Ok(()),
        }
    }

    /// Handles what was read, hands the results over, and waits if somebody is full.
    async fn work(&mut self) -> Result<(), CloseReason> {
        loop {
            let step = self.handle_unread();
            self.desk.end_batch();
            let handover = self.desk.dispatcher.flush();
            if !handover.is_done() {
                tokio::select! {
                    () = handover.wait() => {}
                    () = self.connection.closed() => {}
                }
            }
            match step {
                Step::Continue => break,
                Step::Close(reason) => return Err(reason),
                Step::Authenticate(options) => self.authenticate(*options).await?,
            }
        }
        if let Some(units) = self.source.intake.unpaid() {
            let unfinished = &self.connection.shared.unfinished;
            let share = unfinished.reserve(self.credentials.peer.ip(), units);
            match timeout(SHARE_WAIT, share).await {
                Ok(Some(share)) => self.source.intake.pay(share),
                _ => return Err(CloseReason::UnfinishedPayloads),
            }
        }
        Ok(())
    }

    fn handle_unread(&mut self) -> Step {
        while self.source.intake.is_ripe() {
            match self.desk.parser.parse(self.source.intake.unread()) {
                Ok(Parsed::Complete { operation, length }) => {
                    let step = self.desk.handle(operation);
                    self.source.intake.consume(length);
                    if !matches!(step, Step::Continue) {
                        return step;
                    }
                }
                Ok(Parsed::Incomplete { needed }) => self.source.intake.require(needed),
                Err(error) if self.desk.is_waiting_for_connect() => {
                    tracing::debug!(connection = self.connection.id, %error, "client sent no CONNECT");
                    return Step::Close(CloseReason::Protocol(error.reply()));
                }
                Err(error) => return Step::Close(CloseReason::Protocol(error.reply())),
            }
        }
        Step::Continue
    }

    async fn authenticate(&mut self, options: ConnectOptions) -> Result<(), CloseReason> {
        let shared = Arc::clone(&self.connection.shared);
        let authenticated: Result<(ConnectOptions, Identity), ()> =
            shared.authenticate(options, self.credentials.clone()).await;
        let Ok((options, identity)) = authenticated else {
            return Err(CloseReason::AuthorizationViolation);
        };
        self.connect_deadline = None;
        tracing::debug!(
            connection = self.connection.id,
            user = identity.name,
            "client authenticated"
        );
        match self.desk.admit(options, Some(&identity)) {
            Step::Close(reason) => Err(reason),
            Step::Continue | Step::Authenticate(_) => Ok(()),
        }
    }

    /// Says goodbye, forgets the client everywhere, and closes the socket.
    async fn end(mut self, reason: CloseReason) {
        let connection = Arc::clone(&self.connection);
        connection.end_all_subscriptions();
        if let Some(text) = reason.last_words() {
            self.desk.deny(text);
        }
        drop(self.desk.dispatcher.flush());
        connection.close(reason);
        if reason.is_polite() {
            self.say_goodbye(reason).await;
        }
        connection.outbound.close();
        connection.shared.forget(&connection, reason);
    }

    /// Answers of the cipher's own go out like everything else.
    fn let_cipher_speak(&mut self) {
        if std::mem::take(&mut self.source.wants_write) {
            self.connection.nudge();
        }
    }

    async fn say_goodbye(&mut self, reason: CloseReason) {
        self.source.close_cipher();
        self.let_cipher_speak();
        let written = async {
            while !self.connection.outbound.is_idle() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let _ = timeout(FAREWELL, written).await; // A client that does not read misses it.
        // The writing side is shut down when its last user lets go of it.
        self.connection.outbound.close();
        self.source.release();
        if reason.last_words().is_some() {
            let _ = timeout(LINGER, self.source.discard()).await;
        }
    }
}
