//! A broker with an archive, and what the works do with it.

use std::path::Path;
use std::time::{Duration, Instant};

use strandline_client::admin::{ArchivedPartition, RestoreOptions, StreamUpdate};
use strandline_client::{Message, StreamConfig};

use super::metrics::{get, number};
use super::store::Running;
use super::{ArchiveWork, Setting};
use crate::error::BenchError;
use crate::figures::Process;
use crate::message::{Burst, Messages};
use crate::system::{Door, Strandline, refused};

/// How long a stream is filled before its size is looked at again.
const FILL: Duration = Duration::from_millis(250);
const PUBLISHERS: u32 = 4;
const WINDOW: u64 = 1000;
/// How long an archive may make no progress before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// Where a work is done.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) setting: Setting<'a>,
    pub(super) work: ArchiveWork,
    pub(super) store: &'a Running,
    pub(super) directory: &'a Path,
}

/// Requests that a bucket was asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) reads: f64,
    pub(super) writes: f64,
}

/// How long something was archived, and how much it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Archived {
    pub(super) bytes: u64,
    pub(super) time: Duration,
}

/// A broker of the scene.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) server: Strandline,
}

impl Stage<'_> {
    /// The place of this work in the bucket, or a part of it.
    pub(super) fn place(&self, part: &str) -> String {
        format!("{}/{part}", self.work.name())
    }

    /// Starts a broker with an empty data directory of this name. `place` is where it archives to.
    pub(super) async fn broker(
        &self,
        name: &str,
        place: Option<&str>,
        settings: &[(&str, &str)],
    ) -> Result<Scene, BenchError> {
        let settings_of = |place| self.store.settings(place);
        let mut variables = place.map(settings_of).transpose()?.unwrap_or_default();
        // What is written here is sealed as soon as archiving begins, and a turn comes soon.
        let common: &[(&str, &str)] = match place {
            Some(_) => &[("HTTP_LISTEN", "127.0.0.1:0"), ("ARCHIVE_UPLOAD_MAX_AGE", "1s")],
            None => &[("HTTP_LISTEN", "127.0.0.1:0")],
        };
        for (name, value) in common.iter().chain(settings) {
            variables.insert(format!("STRANDLINE_{name}"), (*value).to_owned());
        }
        let directory = super::fresh(&self.directory.join(name))?;
        let server = Strandline::start_with(self.setting.program, &directory, None, variables).await?;
        Ok(Scene { server })
    }
}

impl Scene {
    pub(super) async fn create(&mut self, name: &str, config: StreamConfig) -> Result<(), BenchError> {
        self.server.create(name, config).await
    }

    /// Publishes at full speed until at least so many bytes are acked; says how many messages are.
    pub(super) async fn fill(&self, stream: &str, value: &[u8], bytes: u64) -> Result<u64, BenchError> {
        let mut stored = 0;
        while stored * (value.len() as u64) < bytes {
            stored += self.load(stream, value, FILL).await?;
        }
        Ok(stored)
    }

    async fn load(&self, stream: &str, value: &[u8], time: Duration) -> Result<u64, BenchError> {
        let until = Instant::now() + time;
        let mut running = tokio::task::JoinSet::new();
        for _ in 0..PUBLISHERS {
            let messages = Messages::plain(stream, value);
            let (publisher, templates) = self.server.publisher(Door::Api, messages).await?;
            let burst = Burst::new(&templates, usize::try_from(WINDOW).unwrap_or(1));
            running.spawn(publisher.run(burst, WINDOW, until));
        }
        let mut acked = 0;
        while let Some(published) = running.join_next().await {
            acked += published.map_err(|_| BenchError::Interrupted)??.acked;
        }
        Ok(acked)
    }

    /// Archives something small, so that the bucket is tried and connections are there.
    pub(super) async fn warm_up(&mut self, value: &[u8]) -> Result<(), BenchError> {
        let name = "warm";
        self.create(name, StreamConfig::new(name, name).archive(true))
            .await?;
        let message = Message::new(value.to_vec());
        let published = self.server.client().publish(name, message).await;
        published.map_err(|error| refused("a message", &error))?;
        self.wait_until_archived(&[name.to_owned()]).await
    }

    /// Archives what a stream has, and measures from when its place in the archive is claimed.
    pub(super) async fn archive(&self, stream: &str) -> Result<Archived, BenchError> {
        let end = self.end(stream).await?;
        let admin = self.server.client().admin();
        let update = StreamUpdate::default().archive(true);
        let updated = admin.update_stream(stream, update).await;
        updated.map_err(|error| refused("to archive a stream", &error))?;
        let (mut begun, mut moved) = (None, (0, Instant::now()));
        loop {
            let partition = self.archived(stream).await?;
            let archived_to = partition.as_ref().and_then(|partition| partition.archive_end);
            if let Some(archived_to) = archived_to {
                let begun = *begun.get_or_insert_with(Instant::now);
                if archived_to >= end {
                    let bytes = partition.and_then(|partition| partition.archive_bytes);
                    return Ok(Archived {
                        bytes: bytes.unwrap_or_default(),
                        time: begun.elapsed(),
                    });
                }
                if archived_to > moved.0 {
                    moved = (archived_to, Instant::now());
                }
            }
            if moved.1.elapsed() > PATIENCE {
                return Err(stuck(partition.as_ref()));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until all that these streams have now is archived.
    pub(super) async fn wait_until_archived(&self, streams: &[String]) -> Result<(), BenchError> {
        let begun = Instant::now();
        for stream in streams {
            let end = self.end(stream).await?;
            loop {
                let partition = self.archived(stream).await?;
                let archived = partition.as_ref().and_then(|partition| partition.archive_end);
                if archived.is_some_and(|archived| archived >= end) {
                    break;
                }
                if begun.elapsed() > 5 * PATIENCE {
                    return Err(stuck(partition.as_ref()));
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// Waits until nothing of a stream is on the disk here.
    pub(super) async fn wait_until_gone(&self, stream: &str) -> Result<(), BenchError> {
        let begun = Instant::now();
        loop {
            let partition = self.archived(stream).await?;
            if partition
                .as_ref()
                .is_some_and(|partition| partition.local_start >= partition.end)
            {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(stuck(partition.as_ref()));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the archive knows of these streams what it takes to restore them.
    pub(super) async fn wait_until_restorable(&self, stream: &str) -> Result<(), BenchError> {
        let options = RestoreOptions {
            only_look: true,
            ..RestoreOptions::default()
        };
        let begun = Instant::now();
        loop {
            let seen = self.server.client().admin().restore_archive(&options).await;
            let reason = match seen {
                Ok(seen) if seen.streams.iter().any(|found| found.name == stream) => return Ok(()),
                Ok(_) => "the stream is not there".to_owned(),
                Err(error) => error.to_string(),
            };
            if begun.elapsed() > PATIENCE {
                return Err(BenchError::Refused {
                    what: "to restore a stream".to_owned(),
                    reason,
                });
            }
            tokio::time::sleep(10 * POLL).await;
        }
    }

    async fn archived(&self, stream: &str) -> Result<Option<ArchivedPartition>, BenchError> {
        let status = self.server.client().admin().archive_status(Some(stream)).await;
        let status = status.map_err(|error| refused("the state of the archive", &error))?;
        Ok(status.partitions.into_iter().next())
    }

    async fn end(&self, stream: &str) -> Result<u64, BenchError> {
        let info = self.server.client().partition(stream, 0).await;
        info.map(|info| info.end)
            .map_err(|error| refused("the state of a partition", &error))
    }

    /// Requests of this broker so far.
    pub(super) async fn asked(&self) -> Result<Asked, BenchError> {
        let address = self.server.http().unwrap_or_default();
        let metrics = get(address, "/metrics").await?;
        let of = |kind: &str| {
            let name = format!("strandline_archive_requests_total{{kind=\"{kind}\"}}");
            number(&metrics, &name)
        };
        Ok(Asked {
            reads: of("read"),
            writes: of("write"),
        })
    }

    pub(super) fn process(&self) -> Option<Process> {
        self.server.process()
    }

    pub(super) async fn end_it(mut self) -> Result<(), BenchError> {
        self.server.clean_up().await
    }
}

fn stuck(partition: Option<&ArchivedPartition>) -> BenchError {
    BenchError::Refused {
        what: "to go on archiving".to_owned(),
        reason: match partition {
            Some(partition) if !partition.error.is_empty() => partition.error.clone(),
            Some(partition) => format!(
                "it is {:?} at {:?} of {}",
                partition.state, partition.archive_end, partition.end
            ),
            None => "the stream is not archived".to_owned(),
        },
    }
}
