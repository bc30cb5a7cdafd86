//! Who this broker is, over restarts.

use std::path::Path;

use serde::{Deserialize, Serialize};

use strandline_core::BrokerId;
use strandline_core::disk::Disk;

use super::OpenError;
use super::document::{self, Kind};

/// Letters of drawn identities.
const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Length of drawn identities; 62^22 is more than 2^128.
const LENGTH: usize = 22;
/// Number of the voter that forms a cluster. Later ones get theirs from the cluster that they join.
const FIRST_VOTER: u64 = 1;

/// How this broker presents itself.
#[derive(Clone, Debug)]
pub(crate) struct ServerIdentity {
    /// The identity that the configuration asks for; counts at the first start only.
    pub(crate) configured: Option<BrokerId>,
    /// Host that clients are told to connect to.
    pub(crate) host: String,
    /// Port that clients are told to connect to.
    pub(crate) port: u16,
}

/// What the first start has decided for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// The broker's identity.
    pub(super) server: BrokerId,
    /// Its number among the voters of the metadata.
    pub(super) voter: u64,
}

impl Identity {
    /// An identity for a first start: the configured one or a random one.
    pub(super) fn first(configured: Option<&BrokerId>) -> Result<Self, OpenError> {
        let server = match configured {
            Some(id) => id.clone(),
            None => {
                let drawn = random_id()?;
                BrokerId::new(drawn).map_err(|error| OpenError::Consensus {
                    problem: error.to_string(),
                })?
            }
        };
        Ok(Self {
            server,
            voter: FIRST_VOTER,
        })
    }

    /// Reads the stored identity, if there is one. It wins over a configured one.
    pub(super) fn load(
        disk: &dyn Disk,
        dir: &Path,
        configured: Option<&BrokerId>,
    ) -> Result<Option<Self>, OpenError> {
        let Some(body) = document::read(disk, dir, Kind::Identity)? else {
            return Ok(None);
        };
        let stored: Self =
            serde_json::from_slice(&body).map_err(|error| unreadable(dir, error.to_string()))?;
        BrokerId::new(stored.server.as_str()).map_err(|error| unreadable(dir, error.to_string()))?;
        if let Some(configured) = configured
            && *configured != stored.server
        {
            tracing::warn!(
                configured = %configured, stored = %stored.server,
                "the configured server id is ignored: this data directory belongs to another one"
            );
        }
        Ok(Some(stored))
    }

    /// Stores the identity; durable on return.
    pub(super) fn store(&self, disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
        let body = serde_json::to_vec(self).map_err(|error| unreadable(dir, error.to_string()))?;
        Ok(document::replace(disk, dir, Kind::Identity, &body)?)
    }
}

fn unreadable(dir: &Path, problem: String) -> OpenError {
    OpenError::Unreadable {
        what: "the identity".to_owned(),
        path: Kind::Identity.path_in(dir),
        problem,
    }
}

/// 22 random letters and digits.
pub(super) fn random_id() -> Result<String, OpenError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| OpenError::Consensus {
        problem: format!("no random numbers: {error}"),
    })?;
    let mut number = u128::from_le_bytes(bytes);
    let mut id = String::with_capacity(LENGTH);
    for _ in 0..LENGTH {
        let letter = LETTERS.get((number % 62) as usize).copied().unwrap_or(b'0');
        id.push(char::from(letter));
        number /= 62;
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_identities_are_22_letters_and_differ() {
        let (a, b) = (random_id().unwrap(), random_id().unwrap());
        assert_eq!((a.len(), b.len()), (22, 22));
        assert!(a.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(a, b);
    }
}
