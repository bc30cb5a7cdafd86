//! A publisher with messages in flight, whatever the server.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use strandline_core::envelope::{self, Kind};
use strandline_proto::api::Ack;
use tokio::sync::mpsc;

use crate::error::BenchError;
use crate::figures::Latency;
use crate::grpc::GrpcAcks;
use crate::message::Burst;
use crate::nats::NatsReader;

/// How long an ack may take before the server counts as dead.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection that publishes.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) sender: mpsc::Sender<Bytes>,
    pub(crate) acks: Acks,
}

/// Where the answers come from.
#[derive(Debug)]
pub(crate) enum Acks {
    Grpc(GrpcAcks),
    /// Ack envelopes on an inbox.
    Envelopes(NatsReader),
    /// JetStream's answers.
    JetStream(NatsReader),
}

/// What a publisher has done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub(crate) acked: u64,
    pub(crate) latency: Latency,
}

impl Published {
    /// Takes in what another publisher has done.
    pub(crate) fn add(&mut self, other: &Self) {
        self.acked += other.acked;
        self.latency.merge(&other.latency);
    }
}

impl Publisher {
    /// Keeps `window` messages in flight until `until`, then waits for the last acks.
    pub(crate) async fn run(
        mut self,
        mut burst: Burst,
        window: u64,
        until: Instant,
    ) -> Result<Published, BenchError> {
        let mut published = Published::default();
        let mut in_flight = InFlight::default();
        loop {
            let mut room = window - in_flight.total;
            if Instant::now() >= until {
                room = 0;
            }
            while room > 0 {
                let (bytes, count) = burst.take(room);
                in_flight.add(count);
                self.send(bytes).await?;
                room -= count;
            }
            if in_flight.total == 0 {
                return Ok(published);
            }
            let acked = self.acks.next().await?;
            published.acked += acked;
            in_flight.remove(acked, &mut published.latency);
        }
    }

    pub(crate) async fn send(&mut self, bytes: Bytes) -> Result<(), BenchError> {
        if self.sender.send(bytes).await.is_ok() {
            return Ok(());
        }
        // The server has closed the connection; its last answer says why.
        self.acks.next().await?;
        Err(BenchError::Ended {
            what: "connection",
            reason: "while it was sent messages".to_owned(),
        })
    }
}

/// Messages on their way, in the order in which they were sent, which is that of their acks.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    sent: VecDeque<(u64, Instant)>,
    total: u64,
}

impl InFlight {
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn add(&mut self, count: u64) {
        self.sent.push_back((count, Instant::now()));
        self.total += count;
    }

    pub(crate) fn remove(&mut self, mut acked: u64, latency: &mut Latency) {
        let now = Instant::now();
        self.total = self.total.saturating_sub(acked);
        while let Some((count, sent)) = self.sent.front_mut()
            && acked > 0
        {
            let done = acked.min(*count);
            latency.record(now - *sent, done);
            (acked, *count) = (acked - done, *count - done);
            if *count == 0 {
                self.sent.pop_front();
            }
        }
    }
}

impl Acks {
    /// Waits for acks and counts them.
    pub(crate) async fn next(&mut self) -> Result<u64, BenchError> {
        let next = async {
            match self {
                Self::Grpc(acks) => acks.next().await,
                Self::Envelopes(reader) => checked(reader, envelope_error).await,
                Self::JetStream(reader) => checked(reader, jetstream_error).await,
            }
        };
        tokio::time::timeout(PATIENCE, next)
            .await
            .unwrap_or(Err(BenchError::Silent {
                what: "ack",
                waited: PATIENCE,
            }))
    }
}

async fn checked(reader: &mut NatsReader, error: fn(&[u8]) -> Option<String>) -> Result<u64, BenchError> {
    let mut refusal = None;
    let count = reader
        .receive(|message| {
            if message.headers.starts_with(b"NATS/1.0 503") {
                refusal = Some("no stream takes messages there".to_owned());
            } else if refusal.is_none() {
                refusal = error(message.payload);
            }
        })
        .await?;
    match refusal {
        None => Ok(count),
        Some(reason) => Err(BenchError::Refused {
            what: "a message".to_owned(),
            reason,
        }),
    }
}

/// The error of an ack is its last field and takes two bytes: only acks that end like that are decoded.
fn envelope_error(payload: &[u8]) -> Option<String> {
    if !matches!(payload, [.., 0x50, 1..=127]) {
        return None;
    }
    let ack = <Ack as prost::Message>::decode(envelope::open(Kind::Ack, payload)?).ok()?;
    (ack.ack_error != 0).then(|| format!("ack error {:?}", ack.ack_error()))
}

fn jetstream_error(payload: &[u8]) -> Option<String> {
    payload
        .starts_with(b"{\"error\"")
        .then(|| String::from_utf8_lossy(payload).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_are_taken_off_in_the_order_of_sending() {
        let mut latency = Latency::default();
        let mut in_flight = InFlight::default();
        in_flight.add(3);
        in_flight.add(5);
        in_flight.remove(4, &mut latency);
        assert_eq!((in_flight.total, in_flight.sent.len()), (4, 1));
        in_flight.remove(4, &mut latency);
        assert_eq!((in_flight.total, in_flight.sent.len()), (0, 0));
        assert!(latency.within(1.0).is_some());
    }

    #[test]
    fn refusals_in_envelopes_are_found_and_acks_are_not_taken_for_them() {
        let payload = |ack: Ack| {
            [
                &envelope::header(Kind::Ack)[..],
                &prost::Message::encode_to_vec(&ack),
            ]
            .concat()
        };
        let mut ack = Ack {
            stream: "s".to_owned(),
            commit_timestamp: 0x50,
            ..Ack::default()
        };
        assert_eq!(envelope_error(&payload(ack.clone())), None);
        ack.set_ack_error(strandline_proto::api::ack::Error::TooLarge);
        assert_eq!(envelope_error(&payload(ack)).unwrap(), "ack error TooLarge");
    }

    #[test]
    fn jetstreams_refusals_are_repeated() {
        assert_eq!(jetstream_error(b"{\"stream\":\"a\",\"seq\":1}"), None);
        assert!(jetstream_error(b"{\"error\":{\"code\":503}}").is_some());
    }
}
