//! Proving that a bucket can hold archives, before something depends on it: what it lets us do, and whether it keeps its word.
//!
//! Some stores take the headers of conditional writes and let two writers win. Such a bucket loses data silently, so
//! that it is tried and not believed.

use std::future::Future;

use bytes::Bytes;
use futures_util::future::join_all;

use super::nonce::nonce;
use super::{Bucket, BucketError, BucketOptions, Version};

/// Writers that race for one object.
const RACERS: usize = 16;
/// A race that nobody wins, because the store answered all of them with a conflict, is run so often.
const RACES: usize = 3;

/// One thing that the archive needs of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub what: &'static str,
    /// Why it does not work.
    pub result: Result<(), String>,
}

/// What a bucket can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// All that was tried, in order.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether archives can be kept in the bucket.
    pub fn is_usable(&self) -> bool {
        self.findings.iter().all(|finding| finding.result.is_ok())
    }

    /// What is missing.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.result.is_err())
    }

    async fn add(&mut self, what: &'static str, tried: impl Future<Output = Result<(), String>>) {
        let result = tried.await;
        self.findings.push(Finding { what, result });
    }
}

/// Tries everything on objects below `strandline-check/`, and deletes them afterwards. What cannot be deleted is among the
/// findings. Cancelled it leaves them there.
pub async fn probe(bucket: &Bucket) -> Report {
    let mut report = Report::default();
    let root = match nonce::<8>() {
        Ok(nonce) => format!("strandline-check/{nonce}"),
        Err(error) => {
            let result = Err(error.to_string());
            report.findings.push(Finding {
                what: "draw a name",
                result,
            });
            return report;
        }
    };
    let probe = Probe { bucket, root };
    report
        .add("write an object if there is none", probe.create())
        .await;
    report.add("read an object", probe.get()).await;
    report
        .add("refuse to write an object a second time", probe.create_again())
        .await;
    report
        .add("replace an object of a known version", probe.replace())
        .await;
    report
        .add(
            "refuse to replace an object of an old version",
            probe.replace_stale(),
        )
        .await;
    report
        .add("let one of many writers create an object", probe.race_to_create())
        .await;
    report
        .add(
            "let one of many writers replace an object",
            probe.race_to_replace(),
        )
        .await;
    report.add("read a part of an object", probe.get_range()).await;
    report.add("write an object in parts", probe.multipart()).await;
    report.add("list objects", probe.list()).await;
    report.add("delete objects", probe.delete()).await;
    report
}

struct Probe<'a> {
    bucket: &'a Bucket,
    root: String,
}

const ONE: Bytes = Bytes::from_static(b"one");
const TWO: Bytes = Bytes::from_static(b"two");

impl Probe<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }

    async fn create(&self) -> Result<(), String> {
        let created = self.bucket.create(&self.key("object"), ONE).await;
        created.map(|_| ()).map_err(text)
    }

    async fn get(&self) -> Result<(), String> {
        let (bytes, _) = self.bucket.get(&self.key("object")).await.map_err(text)?;
        is_same(&bytes, &ONE)
    }

    async fn create_again(&self) -> Result<(), String> {
        must_conflict(self.bucket.create(&self.key("object"), TWO).await)?;
        self.get().await
    }

    async fn version(&self, key: &str) -> Result<Version, String> {
        self.bucket
            .get(key)
            .await
            .map(|(_, version)| version)
            .map_err(text)
    }

    async fn replace(&self) -> Result<(), String> {
        let key = self.key("object");
        let version = self.version(&key).await?;
        self.bucket.replace(&key, TWO, &version).await.map_err(text)?;
        let (bytes, _) = self.bucket.get(&key).await.map_err(text)?;
        is_same(&bytes, &TWO)
    }

    async fn replace_stale(&self) -> Result<(), String> {
        let key = self.key("stale");
        let stale = self.bucket.create(&key, ONE).await.map_err(text)?;
        self.bucket.replace(&key, TWO, &stale).await.map_err(text)?;
        let third = Bytes::from_static(b"three");
        must_conflict(self.bucket.replace(&key, third, &stale).await)?;
        let (bytes, _) = self.bucket.get(&key).await.map_err(text)?;
        is_same(&bytes, &TWO)
    }

    async fn race_to_create(&self) -> Result<(), String> {
        for race in 0..RACES {
            let key = self.key(&format!("create-{race}"));
            let racers = (0..RACERS).map(|racer| {
                let bytes = Bytes::from(format!("racer {racer}"));
                let key = &key;
                async move { self.bucket.create(key, bytes).await }
            });
            if self.one_wins(&key, join_all(racers).await).await? {
                return Ok(());
            }
        }
        Err(format!("nobody won any of {RACES} races"))
    }

    async fn race_to_replace(&self) -> Result<(), String> {
        let key = self.key("replace");
        let mut version = self.bucket.create(&key, ONE).await.map_err(text)?;
        for _ in 0..RACES {
            let racers = (0..RACERS).map(|racer| {
                let bytes = Bytes::from(format!("racer {racer}"));
                let (key, version) = (&key, &version);
                async move { self.bucket.replace(key, bytes, version).await }
            });
            if self.one_wins(&key, join_all(racers).await).await? {
                return Ok(());
            }
            version = self.version(&key).await?;
        }
        Err(format!("nobody won any of {RACES} races"))
    }

    /// Whether there was a winner, and the object is what the winner wrote.
    async fn one_wins(&self, key: &str, results: Vec<Result<Version, BucketError>>) -> Result<bool, String> {
        let mut winners = Vec::new();
        for (racer, result) in results.into_iter().enumerate() {
            match result {
                Ok(_) => winners.push(racer),
                Err(BucketError::Conflict { .. }) => {}
                Err(error) => return Err(text(error)),
            }
        }
        match winners.as_slice() {
            [] => Ok(false),
            [winner] => {
                let (bytes, _) = self.bucket.get(key).await.map_err(text)?;
                is_same(&bytes, format!("racer {winner}").as_bytes()).map(|()| true)
            }
            winners => Err(format!(
                "{} of {RACERS} writers were told that they had won: the store does not keep conditional writes apart, and two \
                 leaders would overwrite each other's archive",
                winners.len()
            )),
        }
    }

    async fn get_range(&self) -> Result<(), String> {
        let bytes = self
            .bucket
            .get_range(&self.key("object"), 1..3)
            .await
            .map_err(text)?;
        is_same(&bytes, b"wo")
    }

    async fn multipart(&self) -> Result<(), String> {
        let key = self.key("parts");
        let size = BucketOptions::MIN_PART_BYTES;
        let mut upload = self.bucket.upload_in_parts(&key, size);
        for piece in [Bytes::from(vec![b'a'; size]), Bytes::from_static(b"bcd")] {
            if let Err(error) = upload.write(piece).await {
                upload.abort().await;
                return Err(text(error));
            }
        }
        upload.finish().await.map_err(text)?;
        let end = size as u64 + 3;
        let bytes = self.bucket.get_range(&key, end - 4..end).await.map_err(text)?;
        is_same(&bytes, b"abcd")
    }

    async fn list(&self) -> Result<(), String> {
        let listed = self.bucket.list(&self.root, 1000).await.map_err(text)?;
        let wanted = self.key("object");
        match listed.iter().any(|object| object.key == wanted) {
            true => Ok(()),
            false => Err("an object that was written is not listed".to_owned()),
        }
    }

    async fn delete(&self) -> Result<(), String> {
        let fixed = ["object", "stale", "replace", "parts"].map(str::to_owned);
        let raced = (0..RACES).map(|race| format!("create-{race}"));
        for name in fixed.into_iter().chain(raced) {
            self.bucket.delete(&self.key(&name)).await.map_err(text)?;
        }
        match self.bucket.get(&self.key("object")).await {
            Err(BucketError::NotFound { .. }) => Ok(()),
            Err(error) => Err(text(error)),
            Ok(_) => Err("an object that was deleted is still there".to_owned()),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it maps errors")]
fn text(error: BucketError) -> String {
    error.to_string()
}

fn must_conflict(result: Result<Version, BucketError>) -> Result<(), String> {
    match result {
        Err(BucketError::Conflict { .. }) => Ok(()),
        Err(error) => Err(text(error)),
        Ok(_) => Err(
            "the store accepted it: it does not know conditional writes, without which two leaders would overwrite each \
             other's archive"
                .to_owned(),
        ),
    }
}

fn is_same(found: &[u8], expected: &[u8]) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!(
            "{} bytes were read that are not what was written",
            found.len()
        )),
    }
}
