//! The names of operations.

use super::operation::ProtocolError;

/// What a line begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Connect,
    Pub,
    HPub,
    Sub,
    Unsub,
    Ping,
    Pong,
    Info,
    Ok,
    Err,
}

impl Name {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Pub => "PUB",
            Self::HPub => "HPUB",
            Self::Sub => "SUB",
            Self::Unsub => "UNSUB",
            Self::Ping => "PING",
            Self::Pong => "PONG",
            Self::Info => "INFO",
            Self::Ok => "+OK",
            Self::Err => "-ERR",
        }
    }

    pub(super) fn takes_arguments(self) -> bool {
        !matches!(self, Self::Ping | Self::Pong | Self::Ok)
    }

    /// The operation that the input begins with, nothing while it is too short to tell, an error at the first byte that
    /// fits none.
    pub(super) fn recognize(input: &[u8]) -> Result<Option<Self>, ProtocolError> {
        let upper = |at: usize| input.get(at).map(u8::to_ascii_uppercase);
        let name = match (upper(0), upper(1)) {
            (None, _) => return Ok(None),
            (Some(b'C'), _) => Self::Connect,
            (Some(b'H'), _) => Self::HPub,
            (Some(b'S'), _) => Self::Sub,
            (Some(b'U'), _) => Self::Unsub,
            (Some(b'I'), _) => Self::Info,
            (Some(b'+'), _) => Self::Ok,
            (Some(b'-'), _) => Self::Err,
            (Some(b'P'), None) => return Ok(None),
            (Some(b'P'), Some(b'U')) => Self::Pub,
            (Some(b'P'), Some(b'I')) => Self::Ping,
            (Some(b'P'), Some(b'O')) => Self::Pong,
            _ => return Err(ProtocolError::UnknownOperation),
        };
        let text = name.text().as_bytes();
        let common = input
            .iter()
            .zip(text)
            .take_while(|(have, want)| have.eq_ignore_ascii_case(want))
            .count();
        match common {
            common if common == text.len() => Ok(Some(name)),
            common if common == input.len() => Ok(None),
            _ => Err(ProtocolError::UnknownOperation),
        }
    }
}
