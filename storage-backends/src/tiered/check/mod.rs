//! Proving that a bucket can hold archives, before something depends on it: what it lets us do, and whether it keeps its word.
//!
//! Some stores take the headers of conditional writes and let two writers win. Such a bucket loses data silently, so
//! that it is tried and not believed. Faults that pass prove nothing: what they hit is tried again, on objects of its own.

mod report;
mod trial;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use super::nonce::nonce;
use super::{Bucket, BucketError, BucketOptions, Version};
pub use report::{Failed, Finding, Report};
use trial::Trial;

/// Writers that race for one object.
const RACERS: usize = 16;
/// A race that nobody wins, because the store answered all of them with a conflict, is run so often.
const RACES: usize = 3;
/// How often one conditional write is made until there is an answer.
const TRIES: usize = 3;
/// Nothing is tried again when so much time has passed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Wait before something is tried the second time; it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Tries everything on objects below `strandline-check/`, and deletes them afterwards. What cannot be deleted is among the
/// findings. Cancelled it leaves them there.
pub async fn probe(bucket: &Bucket) -> Report {
    let mut report = Report::default();
    let root = match nonce::<8>() {
        Ok(nonce) => format!("strandline-check/{nonce}"),
        Err(error) => {
            let result = Err(Failed::Unknown(error.to_string()));
            let what = "draw a name";
            report.findings.push(Finding { what, result });
            return report;
        }
    };
    let probe = Probe {
        bucket,
        root,
        keys: Mutex::default(),
        until: Instant::now() + PATIENCE,
    };
    for trial in Trial::ALL {
        let is_silent = !report.is_usable() && !report.is_proven() && Instant::now() >= probe.until;
        let result = match is_silent && trial != Trial::Delete {
            true => Err(Failed::Unknown(
                "not tried, since the bucket gives no usable answers".to_owned(),
            )),
            false => probe.run(trial).await,
        };
        let what = trial.what();
        report.findings.push(Finding { what, result });
    }
    report
}

struct Probe<'a> {
    bucket: &'a Bucket,
    root: String,
    /// Of all objects that there may be now.
    keys: Mutex<Vec<String>>,
    until: Instant,
}

const ONE: Bytes = Bytes::from_static(b"one");
const TWO: Bytes = Bytes::from_static(b"two");
const THREE: Bytes = Bytes::from_static(b"three");

impl Probe<'_> {
    /// Tries something until there is an answer.
    async fn run(&self, trial: Trial) -> Result<(), Failed> {
        let mut pause = FIRST_PAUSE;
        loop {
            let result = match trial {
                Trial::Create => self.create().await,
                Trial::Get => self.get().await,
                Trial::CreateAgain => self.create_again().await,
                Trial::Replace => self.replace().await,
                Trial::ReplaceStale => self.replace_stale().await,
                Trial::RaceToCreate => self.race_to_create().await,
                Trial::RaceToReplace => self.race_to_replace().await,
                Trial::GetRange => self.get_range().await,
                Trial::Multipart => self.multipart().await,
                Trial::List => self.list().await,
                Trial::Delete => self.delete().await,
            };
            if !matches!(result, Err(Failed::Unknown(_))) || Instant::now() + pause >= self.until {
                return result;
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    /// A key that nothing was written to.
    fn new_key(&self) -> String {
        let mut keys = self.keys.lock();
        let key = format!("{}/{}", self.root, keys.len());
        keys.push(key.clone());
        key
    }

    /// An object with this content, and its version.
    async fn object(&self, content: Bytes) -> Result<(String, Version), Failed> {
        let key = self.new_key();
        self.bucket.put(&key, content.clone()).await?;
        let (found, version) = self.bucket.get(&key).await?;
        is_same(&found, &content)?;
        Ok((key, version))
    }

    async fn holds(&self, key: &str, content: &[u8]) -> Result<(), Failed> {
        is_same(&self.bucket.get(key).await?.0, content)
    }

    /// Whether a write that has to work did. That of a try whose answer was lost is a conflict afterwards.
    async fn is_done(
        &self,
        written: Result<Version, BucketError>,
        key: &str,
        content: &[u8],
    ) -> Result<(), Failed> {
        match written {
            Ok(_) => self.holds(key, content).await,
            Err(error @ BucketError::Conflict { .. }) => match self.bucket.get(key).await {
                Ok((found, _)) if found == content => Ok(()),
                _ => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    async fn create(&self) -> Result<(), Failed> {
        let key = self.new_key();
        let created = insist(|| self.bucket.create(&key, ONE)).await;
        self.is_done(created, &key, &ONE).await
    }

    async fn get(&self) -> Result<(), Failed> {
        self.object(ONE).await.map(drop)
    }

    async fn create_again(&self) -> Result<(), Failed> {
        let (key, _) = self.object(ONE).await?;
        must_conflict(insist(|| self.bucket.create(&key, TWO)).await)?;
        self.holds(&key, &ONE).await
    }

    async fn replace(&self) -> Result<(), Failed> {
        let (key, version) = self.object(ONE).await?;
        let replaced = insist(|| self.bucket.replace(&key, TWO, &version)).await;
        self.is_done(replaced, &key, &TWO).await
    }

    async fn replace_stale(&self) -> Result<(), Failed> {
        let (key, stale) = self.object(ONE).await?;
        self.bucket.put(&key, TWO).await?;
        must_conflict(insist(|| self.bucket.replace(&key, THREE, &stale)).await)?;
        self.holds(&key, &TWO).await
    }

    async fn race_to_create(&self) -> Result<(), Failed> {
        for _ in 0..RACES {
            let key = self.new_key();
            let racers = (0..RACERS).map(|racer| {
                let key = &key;
                async move { self.bucket.create(key, of_racer(racer)).await }
            });
            if self.one_wins(&key, join_all(racers).await).await? {
                return Ok(());
            }
        }
        Err(nobody_won())
    }

    async fn race_to_replace(&self) -> Result<(), Failed> {
        for _ in 0..RACES {
            let (key, version) = self.object(ONE).await?;
            let racers = (0..RACERS).map(|racer| {
                let (key, version) = (&key, &version);
                async move { self.bucket.replace(key, of_racer(racer), version).await }
            });
            if self.one_wins(&key, join_all(racers).await).await? {
                return Ok(());
            }
        }
        Err(nobody_won())
    }

    /// Whether there was a winner, and the object is what the winner wrote.
    async fn one_wins(&self, key: &str, results: Vec<Result<Version, BucketError>>) -> Result<bool, Failed> {
        let mut winners = Vec::new();
        for (racer, result) in results.into_iter().enumerate() {
            match result {
                Ok(_) => winners.push(racer),
                Err(error) if error.leaves_doubt() => {}
                Err(error) => return Err(error.into()),
            }
        }
        match winners.as_slice() {
            [] => Ok(false),
            [winner] => self.holds(key, &of_racer(*winner)).await.map(|()| true),
            winners => Err(Failed::Proven(format!(
                "{} of {RACERS} writers were told that they had won: the store does not keep conditional writes apart, and two \
                 leaders would overwrite each other's archive",
                winners.len()
            ))),
        }
    }

    async fn get_range(&self) -> Result<(), Failed> {
        let (key, _) = self.object(TWO).await?;
        is_same(&self.bucket.get_range(&key, 1..3).await?, b"wo")
    }

    async fn multipart(&self) -> Result<(), Failed> {
        let key = self.new_key();
        let size = BucketOptions::MIN_PART_BYTES;
        let mut upload = self.bucket.upload_in_parts(&key, size);
        for piece in [Bytes::from(vec![b'a'; size]), Bytes::from_static(b"bcd")] {
            if let Err(error) = upload.write(piece).await {
                upload.abort().await;
                return Err(error.into());
            }
        }
        upload.finish().await?;
        let end = size as u64 + 3;
        is_same(&self.bucket.get_range(&key, end - 4..end).await?, b"abcd")
    }

    async fn list(&self) -> Result<(), Failed> {
        let (key, _) = self.object(ONE).await?;
        let listed = self.bucket.list(&self.root, 1000).await?;
        match listed.iter().any(|object| object.key == key) {
            true => Ok(()),
            false => proven("an object that was written is not listed"),
        }
    }

    async fn delete(&self) -> Result<(), Failed> {
        let (last, _) = self.object(ONE).await?;
        let keys = self.keys.lock().clone();
        for key in &keys {
            self.bucket.delete(key).await?;
        }
        match self.bucket.get(&last).await {
            Err(BucketError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(_) => proven("an object that was deleted is still there"),
        }
    }
}

/// Makes a conditional write until it is answered; faults that come at regular intervals do not hit all tries of that.
async fn insist<F>(write: impl Fn() -> F) -> Result<Version, BucketError>
where
    F: Future<Output = Result<Version, BucketError>>,
{
    for _ in 1..TRIES {
        match write().await {
            Err(error) if error.is_transient() => {}
            answered => return answered,
        }
    }
    write().await
}

fn of_racer(racer: usize) -> Bytes {
    Bytes::from(format!("racer {racer}"))
}

fn nobody_won() -> Failed {
    Failed::Unknown(format!("nobody won any of {RACES} races"))
}

fn proven(reason: &str) -> Result<(), Failed> {
    Err(Failed::Proven(reason.to_owned()))
}

fn must_conflict(result: Result<Version, BucketError>) -> Result<(), Failed> {
    match result {
        Err(BucketError::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => proven(
            "the store accepted it: it does not know conditional writes, without which two leaders would overwrite each \
             other's archive",
        ),
    }
}

fn is_same(found: &[u8], expected: &[u8]) -> Result<(), Failed> {
    match found == expected {
        true => Ok(()),
        false => Err(Failed::Proven(format!(
            "{} bytes were read that are not what was written",
            found.len()
        ))),
    }
}
