//! No bus: of a broker that takes no messages.

use std::sync::Arc;

use super::{AckPublisher, Bus, BusError, BusFuture, BusNumbers, BusPublisher, Reach, Subscription};
use crate::partition::PartitionHandle;

/// Delivers nothing and sends nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SilentBus;

/// Nothing ever comes of it.
#[derive(Debug)]
struct Nothing;

impl Subscription for Nothing {}

impl Bus for SilentBus {
    fn subscribe(
        &self,
        _partition: Arc<PartitionHandle>,
    ) -> BusFuture<'_, Result<Box<dyn Subscription>, BusError>> {
        Box::pin(async { Ok(Box::new(Nothing) as Box<dyn Subscription>) })
    }

    fn publisher(&self) -> Box<dyn BusPublisher> {
        Box::new(*self)
    }

    fn ack_publisher(&self) -> Box<dyn AckPublisher> {
        Box::new(*self)
    }

    fn is_connected(&self) -> bool {
        true
    }

    fn numbers(&self) -> BusNumbers {
        BusNumbers::Silent
    }

    fn shutdown(&self) -> BusFuture<'_, ()> {
        Box::pin(async {})
    }
}

impl BusPublisher for SilentBus {
    fn fixed_partitions(&mut self, _subject: &str, _out: &mut Vec<Arc<PartitionHandle>>) -> bool {
        false
    }

    fn publish(&mut self, _subject: &str, _payload: &[u8], _out: &mut Vec<Arc<PartitionHandle>>) -> Reach {
        Reach::Known
    }

    fn flush(&mut self) -> BusFuture<'_, Result<(), BusError>> {
        Box::pin(async {
            Err(BusError::Disconnected {
                reason: "this broker takes no messages".to_owned(),
            })
        })
    }
}

impl AckPublisher for SilentBus {
    fn publish(&mut self, _subject: &str, _headers: &[u8], _payload: &[u8]) {}

    fn flush(&mut self) {}
}
