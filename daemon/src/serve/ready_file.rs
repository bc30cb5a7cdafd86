//! A file that says that clients are served, and where: for scripts that let the system choose ports.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::exit::Failure;

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// The process.
    pub(crate) pid: u32,
    /// Where the gRPC API listens.
    pub(crate) grpc: String,
    /// Where the embedded NATS server listens; none if NATS is elsewhere.
    pub(crate) nats: Option<String>,
    /// Where numbers and health are answered over HTTP; none if they are not.
    pub(crate) http: Option<String>,
    /// The identity of the broker.
    pub(crate) server_id: String,
    /// The data directory.
    pub(crate) data_dir: PathBuf,
}

/// The file while the broker runs; it goes away with this value.
#[derive(Debug)]
pub(super) struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Writes the file: it is there as a whole or not at all.
    pub(super) fn write(path: &Path, ready: &Ready) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::with(
                crate::exit::Exit::Start,
                format!("cannot write ready.file {}: {error}", path.display()),
            )
        };
        let unfinished = path.with_extension("unfinished");
        let bytes = serde_json::to_vec(ready).map_err(|error| failed(error.into()))?;
        std::fs::write(&unfinished, bytes).map_err(failed)?;
        std::fs::rename(&unfinished, path).map_err(failed)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(file = %self.0.display(), %error, "the ready file could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_lives_as_long_as_its_value() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ready.json");
        let ready = Ready {
            pid: 1,
            grpc: "127.0.0.1:1".to_owned(),
            nats: None,
            http: None,
            server_id: "a".to_owned(),
            data_dir: "/d".into(),
        };
        let file = ReadyFile::write(&path, &ready).unwrap();
        assert_eq!(
            serde_json::from_slice::<Ready>(&std::fs::read(&path).unwrap()).unwrap(),
            ready
        );
        drop(file);
        assert!(!path.exists());
        assert!(ReadyFile::write(&directory.path().join("no/such/ready.json"), &ready).is_err());
    }
}
