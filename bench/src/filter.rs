//! Filters that are measured beside the stream without one.

use std::path::PathBuf;

use strandline_client::Client;
use strandline_client::admin::{NewAttachment, Side};

use crate::error::BenchError;

/// Header of every message while filters are measured, so that there is something for them to look at: `0` to `9` in turn.
pub(crate) const HEADER: &str = "Bench-Tenth";
/// Number of its values.
pub(crate) const TENTHS: u32 = 10;
/// Name of the plugin on the broker.
const PLUGIN: &str = "strandline-bench";

/// A filter, with its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The component.
    pub file: PathBuf,
    /// A JSON text; empty = `{}`.
    pub settings: String,
}

impl Filter {
    /// What reports call it: the file's name without its ending.
    pub(crate) fn name(&self) -> String {
        let stem = self.file.file_stem().unwrap_or(self.file.as_os_str());
        stem.to_string_lossy().into_owned()
    }

    /// Attaches it to a stream.
    pub(crate) async fn attach(
        &self,
        client: &Client,
        stream: &str,
        side: Side,
    ) -> Result<Attached, BenchError> {
        let refused = |error: strandline_client::Error| BenchError::Refused {
            what: format!("filter {}", self.file.display()),
            reason: error.to_string(),
        };
        let bytes =
            std::fs::read(&self.file).map_err(BenchError::io(format!("read {}", self.file.display())))?;
        let admin = client.admin();
        let pushed = admin.push_plugin(PLUGIN, bytes).await.map_err(refused)?;
        let mut new = NewAttachment::new(stream, side, PLUGIN);
        new.variant.version = Some(pushed.version.number);
        new.variant.settings.clone_from(&self.settings);
        let attachment = admin.attach_plugin(new).await.map_err(refused)?;
        Ok(Attached {
            client: client.clone(),
            id: attachment.id,
        })
    }
}

/// A filter at work.
#[derive(Debug)]
pub(crate) struct Attached {
    client: Client,
    id: u64,
}

impl Attached {
    /// How many messages it has let pass.
    ///
    /// # Errors
    ///
    /// It has failed on some: then what was measured says nothing.
    pub(crate) async fn passed(&self) -> Result<u64, BenchError> {
        let stats = self.client.admin().attachment_stats(Some(self.id), None).await;
        let stats = stats.map_err(|error| BenchError::Refused {
            what: "the numbers of a filter".to_owned(),
            reason: error.to_string(),
        })?;
        let numbers = stats
            .into_iter()
            .find_map(|stats| stats.active)
            .unwrap_or_default();
        if numbers.failed > 0 {
            return Err(BenchError::Refused {
                what: format!("{} of {} messages", numbers.failed, numbers.records),
                reason: "the filter failed on them; its log says why".to_owned(),
            });
        }
        Ok(numbers.passed)
    }
}
