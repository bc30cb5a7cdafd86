//! An external NATS server or cluster as the bus.

mod connect;
mod sink;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use strandline_core::Clock;

use super::inboxes::AckInboxes;
use super::{
    AckPublisher, Bus, BusError, BusFuture, BusNumbers, BusPublisher, ExternalNumbers, Reach, Subscription,
};
use crate::partition::PartitionHandle;

pub(crate) use connect::ConnectError;

/// How long a subscription may take to be in force.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(10);
/// Turns of answers that may wait for the connection; more are dropped and counted.
const ACK_QUEUE_TURNS: usize = 1024;
/// Answers of these turns.
const ACK_QUEUE_MAX_ACKS: usize = 262_144;

/// The bus of a broker that is a client of a NATS server.
#[derive(Debug)]
pub(crate) struct ExternalBus {
    client: Client,
    clock: Arc<dyn Clock>,
    inboxes: Arc<AckInboxes>,
    acks: mpsc::Sender<Vec<AckMessage>>,
    /// Acks that wait.
    waiting: Arc<AtomicUsize>,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct AckMessage {
    subject: String,
    headers: Option<HeaderMap>,
    payload: Bytes,
}

impl ExternalBus {
    /// Connects.
    ///
    /// # Errors
    ///
    /// No server answers, or it refuses the credentials.
    pub(crate) async fn connect(
        settings: &crate::settings::ExternalNats,
        name: &str,
        clock: Arc<dyn Clock>,
        inboxes: Arc<AckInboxes>,
    ) -> Result<Self, ConnectError> {
        let client = connect::connect(settings, name).await?;
        let (acks, turns) = mpsc::channel(ACK_QUEUE_TURNS);
        let tasks = TaskTracker::new();
        let waiting = Arc::new(AtomicUsize::new(0));
        tasks.spawn(publish_acks(client.clone(), turns, Arc::clone(&waiting)));
        Ok(Self {
            client,
            clock,
            inboxes,
            acks,
            waiting,
            tasks,
        })
    }
}

async fn publish_acks(client: Client, mut turns: mpsc::Receiver<Vec<AckMessage>>, waiting: Arc<AtomicUsize>) {
    while let Some(turn) = turns.recv().await {
        let acks = turn.len();
        for AckMessage {
            subject,
            headers,
            payload,
        } in turn
        {
            let sent = match headers {
                Some(headers) => client.publish_with_headers(subject, headers, payload).await,
                None => client.publish(subject, payload).await,
            };
            if let Err(error) = sent {
                tracing::warn!(%error, "an ack could not be published");
            }
        }
        waiting.fetch_sub(acks, Ordering::AcqRel);
    }
}

impl Bus for ExternalBus {
    fn subscribe(
        &self,
        partition: Arc<PartitionHandle>,
    ) -> BusFuture<'_, Result<Box<dyn Subscription>, BusError>> {
        Box::pin(async move {
            let subject = partition.info().subject();
            let failed = |reason: String| BusError::Subscribe {
                subject: subject.clone(),
                reason,
            };
            let subscribed = match &partition.info().group {
                Some(group) => self.client.queue_subscribe(subject.clone(), group.clone()).await,
                None => self.client.subscribe(subject.clone()).await,
            };
            let messages = subscribed.map_err(|error| failed(error.to_string()))?;
            tokio::time::timeout(SUBSCRIBE_TIMEOUT, round_trip(&self.client))
                .await
                .map_err(|_| failed("nats did not answer in time".to_owned()))?
                .map_err(failed)?;
            let sink = sink::Sink::new(partition, Arc::clone(&self.clock), Arc::clone(&self.inboxes));
            let task = tokio::spawn(sink.run(messages));
            Ok(Box::new(ExternalSubscription(AbortOnDropHandle::new(task))) as Box<dyn Subscription>)
        })
    }

    fn publisher(&self) -> Box<dyn BusPublisher> {
        Box::new(ExternalPublisher {
            client: self.client.clone(),
            queued: Vec::new(),
        })
    }

    fn ack_publisher(&self) -> Box<dyn AckPublisher> {
        Box::new(ExternalAckPublisher {
            acks: self.acks.clone(),
            waiting: Arc::clone(&self.waiting),
            turn: Vec::new(),
        })
    }

    fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    fn numbers(&self) -> BusNumbers {
        BusNumbers::External(ExternalNumbers {
            connected: self.is_connected(),
            connections_lost: connect::CONNECTIONS_LOST.load(Ordering::Relaxed),
            slow_consumer_events: connect::SLOW_CONSUMER_EVENTS.load(Ordering::Relaxed),
            acks_dropped: connect::ACKS_DROPPED.load(Ordering::Relaxed),
            acks_waiting: self.waiting.load(Ordering::Acquire),
            max_acks_waiting: ACK_QUEUE_MAX_ACKS,
        })
    }

    fn shutdown(&self) -> BusFuture<'_, ()> {
        Box::pin(async move {
            self.tasks.close();
            // Sends what is queued; a server that is gone does not hold up the stop.
            let _ = tokio::time::timeout(Duration::from_secs(2), self.client.flush()).await;
        })
    }
}

/// Waits until the server has handled everything sent before: publishes to a subject of our own and waits for it.
async fn round_trip(client: &Client) -> Result<(), String> {
    let inbox = client.new_inbox();
    let mut echo = client
        .subscribe(inbox.clone())
        .await
        .map_err(|error| error.to_string())?;
    client
        .publish(inbox, Bytes::new())
        .await
        .map_err(|error| error.to_string())?;
    client.flush().await.map_err(|error| error.to_string())?;
    echo.next()
        .await
        .map(drop)
        .ok_or_else(|| "the connection was closed".to_owned())
}

#[derive(Debug)]
struct ExternalSubscription(#[expect(dead_code, reason = "held for its drop")] AbortOnDropHandle<()>);

impl Subscription for ExternalSubscription {}

struct ExternalPublisher {
    client: Client,
    queued: Vec<(String, Bytes)>,
}

impl BusPublisher for ExternalPublisher {
    fn fixed_partitions(&mut self, _: &str, _: &mut Vec<Arc<PartitionHandle>>) -> bool {
        false
    }

    fn publish(&mut self, subject: &str, payload: &[u8], _: &mut Vec<Arc<PartitionHandle>>) -> Reach {
        self.queued
            .push((subject.to_owned(), Bytes::copy_from_slice(payload)));
        Reach::Wire
    }

    fn flush(&mut self) -> BusFuture<'_, Result<(), BusError>> {
        Box::pin(async move {
            // The client would hold messages back until it is connected again; their publishers have to know now.
            if self.client.connection_state() != State::Connected {
                self.queued.clear();
                return Err(BusError::Disconnected {
                    reason: "connection lost, reconnecting".to_owned(),
                });
            }
            for (subject, payload) in self.queued.drain(..) {
                let sent = self.client.publish(subject, payload).await;
                sent.map_err(|error| BusError::Disconnected {
                    reason: error.to_string(),
                })?;
            }
            Ok(())
        })
    }
}

struct ExternalAckPublisher {
    acks: mpsc::Sender<Vec<AckMessage>>,
    waiting: Arc<AtomicUsize>,
    turn: Vec<AckMessage>,
}

impl AckPublisher for ExternalAckPublisher {
    fn publish(&mut self, subject: &str, _headers: &[u8], payload: &[u8]) {
        let payload = Bytes::copy_from_slice(payload);
        self.turn.push(AckMessage {
            subject: subject.to_owned(),
            headers: None,
            payload,
        });
    }

    fn flush(&mut self) {
        if self.turn.is_empty() {
            return;
        }
        let turn = std::mem::take(&mut self.turn);
        let acks = turn.len();
        let before = self.waiting.fetch_add(acks, Ordering::AcqRel);
        // One turn is taken whatever its size.
        let is_full = before > 0 && before + acks > ACK_QUEUE_MAX_ACKS;
        if is_full || self.acks.try_send(turn).is_err() {
            self.waiting.fetch_sub(acks, Ordering::AcqRel);
            connect::ACKS_DROPPED.fetch_add(acks as u64, Ordering::Relaxed);
            tracing::warn!(acks, "acks dropped: nats does not take them fast enough");
        }
    }
}
