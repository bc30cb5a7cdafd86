//! The object store that is measured with.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use strandline_storage_backends::tiered::{Bucket, BucketError, BucketOptions};

use super::metrics::get;
use crate::error::BenchError;
use crate::system::{Child, Environment};

/// The user of a server that is started for the benchmark alone, on this machine.
const KEY_ID: &str = "strandline-bench";
const SECRET: &str = "strandline-bench-secret";
/// The bucket of such a server.
const BUCKET: &str = "archive";
/// How long such a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// A bucket that is a directory.
const DIRECTORY: &str = "file://";
const POLL: Duration = Duration::from_millis(50);
/// Objects that a work may leave behind to be removed.
const MOST_OBJECTS: usize = 1_000_000;

/// Where archives go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// A MinIO server that is started for it, with its data beside that of the brokers.
    Minio {
        /// The `minio` binary.
        program: PathBuf,
    },
    /// A bucket that is there, and reached as a broker reaches it: by the usual variables.
    Url(String),
}

/// A store that answers.
#[derive(Debug)]
pub(super) struct Running {
    child: Option<Child>,
    url: String,
    endpoint: Option<String>,
    /// With what a broker gets at it.
    variables: Environment,
}

impl Running {
    pub(super) async fn start(store: &Store, directory: &Path) -> Result<Self, BenchError> {
        match store {
            Store::Minio { program } => Self::start_minio(program, directory).await,
            Store::Url(url) => Ok(Self {
                child: None,
                url: format!(
                    "{}/strandline-bench-{}",
                    url.trim_end_matches('/'),
                    std::process::id()
                ),
                endpoint: None,
                variables: Environment::new(),
            }),
        }
    }

    async fn start_minio(program: &Path, directory: &Path) -> Result<Self, BenchError> {
        let data = directory.join("data");
        std::fs::create_dir_all(&data).map_err(BenchError::io(format!("make {}", data.display())))?;
        let (address, console) = (free_address()?, free_address()?);
        let arguments = [
            "server",
            "--quiet",
            "--address",
            &address,
            "--console-address",
            &console,
            &data.display().to_string(),
        ];
        let variables = [
            ("MINIO_ROOT_USER", KEY_ID),
            ("MINIO_ROOT_PASSWORD", SECRET),
            ("HOME", &directory.display().to_string()),
        ];
        let arguments = arguments.map(str::to_owned).to_vec();
        let command = (arguments, owned(variables));
        let mut child = Child::start_with("minio", program, command, directory.join("log"))?;
        let begun = Instant::now();
        while get(&address, "/minio/health/ready").await.is_err() {
            if let Some(ended) = child.ended() {
                return Err(ended);
            }
            if begun.elapsed() > PATIENCE {
                return Err(BenchError::Silent {
                    what: "answer of minio",
                    waited: PATIENCE,
                });
            }
            tokio::time::sleep(POLL).await;
        }
        // A bucket is a directory there.
        let bucket = data.join(BUCKET);
        std::fs::create_dir_all(&bucket).map_err(BenchError::io(format!("make {}", bucket.display())))?;
        Ok(Self {
            child: Some(child),
            url: format!("s3://{BUCKET}/bench"),
            endpoint: Some(format!("http://{address}")),
            variables: owned([
                ("AWS_ACCESS_KEY_ID", KEY_ID),
                ("AWS_SECRET_ACCESS_KEY", SECRET),
                ("AWS_REGION", "us-east-1"),
            ]),
        })
    }

    /// What a broker is told to archive below a name.
    pub(super) fn settings(&self, place: &str) -> Result<Environment, BenchError> {
        let mut variables = self.variables.clone();
        variables.insert("STRANDLINE_ARCHIVE_URL".to_owned(), self.url_of(place)?);
        if let Some(endpoint) = &self.endpoint {
            variables.insert("STRANDLINE_ARCHIVE_ENDPOINT".to_owned(), endpoint.clone());
        }
        Ok(variables)
    }

    /// The place below a name, for a client without a broker.
    pub(super) fn bucket(&self, place: &str) -> Result<Bucket, BenchError> {
        let options = BucketOptions {
            endpoint: self.endpoint.clone(),
            ..BucketOptions::default()
        };
        let mut variables: Environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        variables.extend(self.variables.clone());
        Bucket::open_with(&self.url_of(place)?, &options, &variables)
            .map_err(|error| failed("a bucket", &error))
    }

    /// Removes what lies below a name in a store that stays.
    pub(super) async fn empty(&self, place: &str) -> Result<(), BenchError> {
        let bucket = self.bucket(place)?;
        let listed = bucket.list("", MOST_OBJECTS).await;
        for object in listed.map_err(|error| failed("a listing", &error))? {
            let deleted = bucket.delete(&object.key).await;
            deleted.map_err(|error| failed("to delete an object", &error))?;
        }
        Ok(())
    }

    /// Ends a server that was started, or removes directories that were made.
    pub(super) async fn end(mut self) -> Result<(), BenchError> {
        if let Some(child) = &mut self.child {
            return child.kill().await;
        }
        match self.url.strip_prefix(DIRECTORY) {
            Some(directory) => {
                std::fs::remove_dir_all(directory).map_err(BenchError::io(format!("remove {directory}")))
            }
            None => Ok(()),
        }
    }

    /// The URL of a place. A directory has to be there.
    fn url_of(&self, place: &str) -> Result<String, BenchError> {
        let url = format!("{}/{place}", self.url);
        if let Some(directory) = url.strip_prefix(DIRECTORY) {
            std::fs::create_dir_all(directory).map_err(BenchError::io(format!("make {directory}")))?;
        }
        Ok(url)
    }
}

pub(super) fn failed(what: &str, error: &BucketError) -> BenchError {
    BenchError::Refused {
        what: what.to_owned(),
        reason: error.to_string(),
    }
}

fn owned<const N: usize>(variables: [(&str, &str); N]) -> Environment {
    variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// An address of this machine that nobody listens on now.
fn free_address() -> Result<String, BenchError> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0");
    let address = listener.and_then(|listener| listener.local_addr());
    address
        .map(|address| address.to_string())
        .map_err(BenchError::io("find a free port"))
}
