//! A version of a plugin that arrives in pieces.

use bytes::{Bytes, BytesMut};
use sha2::Digest;
use strandline_proto::admin::FetchPluginResponse;
use strandline_proto::admin::fetch_plugin_response::Part;
use tonic::{Status, Streaming};

use super::{FetchedPlugin, PluginVersion};
use crate::error::{Error, ErrorKind};

/// Largest module that is taken: what the limit of a broker can be set to.
const MAX_BYTES: u64 = 1 << 30;

/// The whole of it, which is what was announced.
pub(super) async fn whole(mut parts: Streaming<FetchPluginResponse>) -> Result<FetchedPlugin, Error> {
    let Some(Part::Version(version)) = next(&mut parts).await? else {
        return Err(broken("does not say first what it is"));
    };
    let mut arriving = Arriving::new(version.into())?;
    while let Some(part) = next(&mut parts).await? {
        let Part::Bytes(piece) = part else {
            return Err(broken("says twice what it is"));
        };
        arriving.take(&piece)?;
    }
    arriving.finish()
}

async fn next(parts: &mut Streaming<FetchPluginResponse>) -> Result<Option<Part>, Error> {
    let message = parts
        .message()
        .await
        .map_err(|status: Status| Error::from(status))?;
    Ok(message.and_then(|response| response.part))
}

/// What has come of a version.
struct Arriving {
    version: PluginVersion,
    bytes: BytesMut,
}

impl Arriving {
    fn new(version: PluginVersion) -> Result<Self, Error> {
        if version.size > MAX_BYTES {
            return Err(broken("is larger than any plugin"));
        }
        let bytes = BytesMut::new();
        Ok(Self { version, bytes })
    }

    fn take(&mut self, piece: &Bytes) -> Result<(), Error> {
        if (self.bytes.len() + piece.len()) as u64 > self.version.size {
            return Err(broken("is longer than announced"));
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    fn finish(self) -> Result<FetchedPlugin, Error> {
        let Self { version, bytes } = self;
        if bytes.len() as u64 != version.size {
            return Err(broken("is shorter than announced"));
        }
        if sha2::Sha256::digest(&bytes)[..] != version.sha256[..] {
            return Err(broken("has another SHA-256 than announced"));
        }
        Ok(FetchedPlugin {
            version,
            bytes: bytes.freeze(),
        })
    }
}

fn broken(how: &str) -> Error {
    Error::new(ErrorKind::Other, format!("the plugin that arrived {how}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arriving(bytes: &[u8]) -> Arriving {
        let version = PluginVersion {
            size: bytes.len() as u64,
            sha256: sha2::Sha256::digest(bytes).to_vec().into(),
            ..PluginVersion::default()
        };
        Arriving::new(version).unwrap()
    }

    #[test]
    fn what_arrives_is_what_was_announced_or_refused() {
        let mut whole = arriving(b"module");
        for piece in [&b"mod"[..], b"ule"] {
            whole.take(&Bytes::from(piece)).unwrap();
        }
        assert_eq!(whole.finish().unwrap().bytes, &b"module"[..]);
        assert!(
            arriving(b"module")
                .finish()
                .unwrap_err()
                .to_string()
                .contains("shorter")
        );
        let mut longer = arriving(b"module");
        assert!(longer.take(&Bytes::from_static(b"modules")).is_err());
        let mut other = arriving(b"module");
        other.take(&Bytes::from_static(b"nodule")).unwrap();
        assert!(other.finish().unwrap_err().to_string().contains("SHA-256"));
    }
}
