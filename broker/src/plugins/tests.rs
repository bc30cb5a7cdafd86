//! Plugins as the rest of the broker uses them, with a real host.

use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use strandline_core::disk::Disk;
use strandline_core::metadata::{AttachmentChange, NewAttachment};
use strandline_core::plugin::{
    Attachment, CanaryMode, ErrorHandling, ErrorPolicy, ModuleName, PluginLimits, Side, Variant,
};
use strandline_core::stream::{StreamDefinition, StreamSettings};
use strandline_core::subject::SubjectFilter;
use strandline_core::{Clock, StreamName};
use strandline_plugins::{Judgement, Packer, Parts, Verdict};
use strandline_storage_backends::SystemDisk;

use super::*;
use crate::clock::SystemClock;
use crate::metadata::{MetadataHandle, ServerIdentity};
use crate::partition::{LetterBox, Stage};
use crate::settings::Settings;
use crate::streams::Streams;

const FILTER: &str = include_str!("../../../tests/plugins/filter.wat");

fn filter() -> Vec<u8> {
    wat::parse_str(FILTER).unwrap()
}

/// The filter with other bytes that mean the same.
fn filter_again(mark: u8) -> Vec<u8> {
    let mut bytes = filter();
    // A custom section with the name "m" and one byte.
    bytes.extend_from_slice(&[0, 3, 1, b'm', mark]);
    bytes
}

/// A broker's metadata and plugins in a directory, without the rest.
struct Part {
    metadata: MetadataHandle,
    plugins: Arc<Plugins>,
    stopping: CancellationToken,
}

impl Part {
    async fn start(dir: &Path) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk::new());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let identity = ServerIdentity {
            configured: None,
            host: "h".to_owned(),
            port: 1,
        };
        let directory = dir.join("metadata");
        let metadata =
            MetadataHandle::open(Arc::clone(&disk), &directory, identity, Arc::clone(&clock)).await;
        let metadata = metadata.unwrap();
        let streams = Arc::new(Streams::default());
        let stage = Stage::start(Arc::clone(&streams) as Arc<dyn LetterBox>).unwrap();
        let path = super::Path::new(streams, stage.handle().clone(), Handle::current());
        let plugins = Plugins::open(metadata.clone(), disk, &Settings::new(dir), clock, path).await;
        let stopping = CancellationToken::new();
        Self {
            metadata,
            plugins,
            stopping,
        }
    }

    async fn stop(self) {
        self.stopping.cancel();
        self.metadata.shutdown().await;
    }

    async fn create(&self, name: &str) {
        let definition = StreamDefinition {
            name: stream(name),
            subject: SubjectFilter::new(name).unwrap(),
            group: None,
            partitions: 1,
            replication_factor: 1,
            settings: StreamSettings::default(),
        };
        self.metadata.create_stream(definition).await.unwrap();
    }

    async fn push(&self, bytes: Vec<u8>) -> Result<u32, PluginError> {
        let pushed = Arc::clone(&self.plugins).push(name("f"), bytes, "ann".to_owned());
        pushed.await.map(|(version, _)| version.number)
    }

    async fn attach(&self, to: &str, settings: &str) -> Result<Arc<Attachment>, PluginError> {
        self.plugins.attach(new(to, settings), "ann".to_owned()).await
    }

    /// What the write side of a stream says of a record now.
    fn verdict(&self, of: &str) -> Result<Verdict, String> {
        let plugins = self.plugins.of(&stream(of));
        let chains = plugins.chains();
        let links = chains
            .write
            .ready()
            .map_err(|problem| problem.reason.to_string())?;
        let verdicts = links.iter().map(|link| judge(link.for_batch().live));
        Ok(verdicts
            .into_iter()
            .find(|verdict| *verdict != Verdict::Pass)
            .unwrap_or(Verdict::Pass))
    }
}

fn judge(live: &strandline_plugins::Attachment) -> Verdict {
    let (mut packer, mut judgement) = (Packer::new(), Judgement::default());
    packer.begin(live.needs(), live.records_at_once());
    let record = Parts {
        key: None,
        subject: b"s",
        headers: &[],
        value: b"v",
    };
    assert!(packer.push_parts(&record));
    live.judge(packer.batch(), &mut judgement);
    judgement.verdict(0)
}

fn stream(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

fn name(text: &str) -> ModuleName {
    ModuleName::new(text).unwrap()
}

fn variant(version: u32, settings: &str) -> Variant {
    Variant {
        version,
        settings: settings.to_owned(),
    }
}

fn new(to: &str, settings: &str) -> NewAttachment {
    NewAttachment {
        stream: stream(to),
        side: Side::Write,
        order: 0,
        module: name("f"),
        variant: variant(1, settings),
        on_error: ErrorHandling {
            policy: ErrorPolicy::Fail,
            dead_letters: None,
        },
        limits: PluginLimits::default(),
        debug: false,
    }
}

fn by() -> String {
    "ann".to_owned()
}

fn modules(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join(PLUGINS_DIRECTORY).join(MODULES_DIRECTORY));
    let names = entries
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[test]
fn the_plugins_of_the_process_tests_are_what_their_texts_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/plugins");
    let mut checked = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let text = entry.unwrap().path();
        if text.extension().is_none_or(|extension| extension != "wat") {
            continue;
        }
        let assembled = wat::parse_file(&text).unwrap();
        let path = text.with_extension("wasm");
        if std::env::var_os("UPDATE_PLUGINS").is_some() {
            std::fs::write(&path, &assembled).unwrap();
        }
        assert!(
            std::fs::read(&path).unwrap() == assembled,
            "assemble {} anew with UPDATE_PLUGINS=1",
            text.display()
        );
        checked += 1;
    }
    assert_eq!(checked, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_attached_acts_at_once_and_after_a_restart_and_not_when_it_is_detached() {
    let dir = tempfile::tempdir().unwrap();
    let part = Part::start(dir.path()).await;
    part.create("a").await;
    part.create("b").await;
    let watched = part.plugins.of(&stream("a"));
    assert_eq!(part.push(filter()).await.unwrap(), 1);
    let drops = part.attach("a", r#"{"drop":1}"#).await.unwrap();
    assert_eq!(part.verdict("a"), Ok(Verdict::Drop));
    assert_eq!(part.verdict("b"), Ok(Verdict::Pass));
    assert!(Arc::ptr_eq(&watched, &part.plugins.of(&stream("a"))));
    part.stop().await;

    let part = Part::start(dir.path()).await;
    let reason = part.verdict("a").unwrap_err();
    assert!(
        reason.contains("plugin f of attachment 1 of stream a is being loaded"),
        "{reason}"
    );
    assert_eq!(part.verdict("b"), Ok(Verdict::Pass), "others do not wait");
    let mut changes = part.plugins.of(&stream("a")).changes();
    tokio::spawn(Arc::clone(&part.plugins).follow_changes(part.stopping.clone()));
    changes.changed().await.unwrap();
    assert_eq!(part.verdict("a"), Ok(Verdict::Drop));
    part.plugins.detach(drops.id, by()).await.unwrap();
    assert_eq!(part.verdict("a"), Ok(Verdict::Pass));
    part.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_refuses_its_settings_is_not_attached() {
    let dir = tempfile::tempdir().unwrap();
    let part = Part::start(dir.path()).await;
    part.create("a").await;
    part.push(filter()).await.unwrap();
    let error = part.attach("a", "[]").await.unwrap_err().to_string();
    assert!(error.contains("the settings are no object"), "{error}");
    assert_eq!(part.metadata.state().plugins().attachments().len(), 0);
    let id = part.attach("a", "{}").await.unwrap().id;
    let change = AttachmentChange {
        variant: Some(variant(1, "[]")),
        ..AttachmentChange::default()
    };
    assert!(part.plugins.change_attachment(id, change, by()).await.is_err());
    let shadow = (variant(1, "7"), CanaryMode::Shadow);
    assert!(part.plugins.start_canary(id, shadow, by()).await.is_err());
    assert_eq!(part.verdict("a"), Ok(Verdict::Pass), "it goes on as it was");
    part.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_plugin_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let part = Part::start(dir.path()).await;
    let garbage = [
        &b""[..],
        b"\0asm",
        b"not wasm at all",
        b"\0asm\x01\0\0\0",
        b"\0asm\x0d\0\x01\0",
    ];
    for bytes in garbage {
        let error = part.push(bytes.to_vec()).await.unwrap_err();
        assert!(matches!(error, PluginError::Unfit { .. }), "{error}");
    }
    assert!(
        !dir.path()
            .join(PLUGINS_DIRECTORY)
            .join(MODULES_DIRECTORY)
            .exists()
    );
    assert_eq!(part.metadata.state().plugins().modules().count(), 0);
    part.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_decides_on_its_share_and_becomes_active_without_being_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let part = Part::start(dir.path()).await;
    part.create("a").await;
    part.push(filter()).await.unwrap();
    assert_eq!(part.push(filter_again(1)).await.unwrap(), 2);
    let id = part.attach("a", "{}").await.unwrap().id;
    let candidate = variant(2, r#"{"drop":1}"#);
    let quarter = (candidate.clone(), CanaryMode::Percent(25));
    part.plugins.start_canary(id, quarter, by()).await.unwrap();
    let drops = (0..100)
        .filter(|_| part.verdict("a") == Ok(Verdict::Drop))
        .count();
    assert_eq!(drops, 25);
    let link = || {
        part.plugins
            .link(part.metadata.state().plugins().attachment(id).unwrap())
            .unwrap()
    };
    let tried = link().canary.unwrap().live;
    part.plugins.promote(id, by()).await.unwrap();
    assert!(
        Arc::ptr_eq(&tried, &link().active),
        "its numbers and instances go on"
    );
    assert_eq!(part.verdict("a"), Ok(Verdict::Drop));
    part.plugins.roll_back(id, by()).await.unwrap();
    assert_eq!(part.verdict("a"), Ok(Verdict::Pass));
    let shadow = (candidate, CanaryMode::Shadow);
    part.plugins.start_canary(id, shadow, by()).await.unwrap();
    assert_eq!(
        part.verdict("a"),
        Ok(Verdict::Pass),
        "a shadow decides on nothing"
    );
    let now = link();
    let compared = now.for_batch().shadow.unwrap();
    assert_eq!(judge(&compared.live), Verdict::Drop);
    compared.trial.compared(3, 1);
    assert_eq!(link().canary.unwrap().trial.comparison(), (3, 1));
    part.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_bytes_go_from_the_disk_and_used_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let part = Part::start(dir.path()).await;
    part.create("a").await;
    part.push(filter()).await.unwrap();
    part.push(filter_again(1)).await.unwrap();
    let id = part.attach("a", "{}").await.unwrap().id;
    let delete = || Arc::clone(&part.plugins).delete(name("f"), None, by());
    let error = delete().await.unwrap_err().to_string();
    assert!(error.contains("in use by attachment 1 of stream a"), "{error}");
    assert_eq!(modules(dir.path()).len(), 2);
    part.plugins.detach(id, by()).await.unwrap();
    assert_eq!(delete().await.unwrap(), 2);
    assert_eq!(modules(dir.path()), [""; 0]);
    let broker = part.metadata.broker().clone();
    assert_eq!(
        part.metadata.state().plugins().pending_removals(&broker).count(),
        0
    );
    part.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_module_takes_its_streams_out_of_service_until_it_is_pushed_again() {
    let dir = tempfile::tempdir().unwrap();
    let part = Part::start(dir.path()).await;
    part.create("a").await;
    part.create("b").await;
    part.push(filter()).await.unwrap();
    part.push(filter_again(1)).await.unwrap();
    part.attach("a", "{}").await.unwrap();
    let mut second = new("b", "{}");
    second.variant.version = 2;
    part.plugins.attach(second, by()).await.unwrap();
    part.stop().await;
    let sum = sha256(&filter());
    let path = dir
        .path()
        .join(format!("{PLUGINS_DIRECTORY}/{MODULES_DIRECTORY}/{sum}.wasm"));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&path, bytes).unwrap();

    let part = Part::start(dir.path()).await;
    part.plugins.follow().await;
    let reason = part.verdict("a").unwrap_err();
    assert!(
        reason.contains(path.to_str().unwrap()) && reason.contains("damaged"),
        "{reason}"
    );
    assert_eq!(part.verdict("b"), Ok(Verdict::Pass), "nothing else is");
    assert_eq!(part.push(filter()).await.unwrap(), 1);
    assert_eq!(part.verdict("a"), Ok(Verdict::Pass));
    part.stop().await;
}
