//! What a client can ask for, and how it can be wrong.

/// One operation of a client. All parts are slices of the bytes that were parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// `CONNECT`: the JSON text of the client's options.
    Connect(&'a [u8]),
    /// `PUB` or `HPUB`.
    Publish(Publish<'a>),
    /// `SUB`.
    Subscribe {
        /// The filter, not yet validated.
        filter: &'a [u8],
        /// The queue group to share with.
        queue: Option<&'a [u8]>,
        /// The client's own name for the subscription.
        sid: &'a [u8],
    },
    /// `UNSUB`.
    Unsubscribe {
        /// The client's own name for the subscription.
        sid: &'a [u8],
        /// Messages after which it ends, counted from the subscribe; nothing or zero means at once.
        max: Option<u64>,
    },
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `INFO`: JSON text that a server ignores.
    Info(&'a [u8]),
    /// `+OK`, ignored.
    Ok,
    /// `-ERR`: the client's complaint; it ends the connection.
    Error(&'a [u8]),
}

/// A message on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Where to; not validated, may hold any byte but blanks and line ends.
    pub subject: &'a [u8],
    /// Where an answer goes.
    pub reply: Option<&'a [u8]>,
    /// The raw header block; empty if there is none.
    pub headers: &'a [u8],
    /// The body.
    pub payload: &'a [u8],
}

/// Why the bytes of a client are no operation. Each one ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// No such operation, or a payload without its line end.
    #[error("unknown protocol operation")]
    UnknownOperation,
    /// A known operation with missing, surplus or unreadable arguments.
    #[error("bad arguments for {0}")]
    BadArguments(&'static str),
    /// The arguments are longer than `max_control_line`.
    #[error("maximum control line exceeded")]
    ControlLineTooLong,
    /// The announced payload is larger than `max_payload`.
    #[error("maximum payload violation: {size} bytes announced")]
    PayloadTooLarge {
        /// Bytes announced.
        size: usize,
    },
}

impl ProtocolError {
    /// The text of the `-ERR` that tells the client, if there is one.
    pub fn reply(self) -> Option<&'static str> {
        match self {
            Self::UnknownOperation => Some("Unknown Protocol Operation"),
            Self::BadArguments(_) => None,
            Self::ControlLineTooLong => Some("maximum control line exceeded"),
            Self::PayloadTooLarge { .. } => Some("Maximum Payload Violation"),
        }
    }
}
