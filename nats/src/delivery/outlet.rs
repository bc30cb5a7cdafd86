//! Where a publisher's messages for one subscriber gather until the end of its read batch.

use std::sync::Arc;

use crate::connection::{Connection, pool};
use crate::local::{LocalBatch, LocalSink};
use crate::message::Message;
use crate::protocol::write_message;

/// Bytes for one connection after which they are handed over in mid-batch.
const HANDOVER_AT: usize = pool::BUFFER_SIZE;

/// A connection or local sink that this publisher sends to.
pub(super) struct Outlet {
    pub(super) end: End,
    /// Has something to hand over.
    pub(super) touched: bool,
}

pub(super) enum End {
    Remote {
        connection: Arc<Connection>,
        gathered: Vec<u8>,
    },
    Local {
        #[expect(
            dead_code,
            reason = "outlets are found by the sink's address, which must not become another's"
        )]
        sink: Arc<dyn LocalSink>,
        batch: Box<dyn LocalBatch>,
    },
}

impl Outlet {
    pub(super) fn to_connection(connection: Arc<Connection>) -> Self {
        Self {
            end: End::Remote {
                connection,
                gathered: Vec::new(),
            },
            touched: false,
        }
    }

    pub(super) fn to_sink(sink: Arc<dyn LocalSink>) -> Self {
        let batch = sink.open();
        Self {
            end: End::Local { sink, batch },
            touched: false,
        }
    }

    pub(super) fn push(&mut self, sid: &[u8], message: &Message<'_>) {
        match &mut self.end {
            End::Remote { connection, gathered } => {
                if gathered.capacity() == 0 {
                    *gathered = pool::take();
                }
                write_message(gathered, sid, message, connection.takes_headers());
                if let Some(reply) = message.reply {
                    connection.note_request(reply);
                }
                if gathered.len() >= HANDOVER_AT {
                    connection.push(gathered);
                }
            }
            End::Local { batch, .. } => batch.push(message),
        }
    }

    /// The bytes gathered for a connection; nothing for a local sink.
    pub(super) fn gathered(&mut self) -> Option<&mut Vec<u8>> {
        match &mut self.end {
            End::Remote { gathered, .. } => Some(gathered),
            End::Local { .. } => None,
        }
    }
}
