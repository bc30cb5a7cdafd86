//! What is acknowledged stays, whatever moment the power goes; what is not is cleared away.

use std::path::Path;

use strandline_core::metadata::{Command, PluginChange, PluginRegistry, State, apply};
use strandline_core::plugin::{ContractVersion, ModuleFacts, ModuleName, World};
use strandline_core::{BrokerId, Timestamp};
use strandline_storage_backends::sim::{Fault, Image, SimDisk};

use super::*;

const DIR: &str = "/data";

fn broker() -> BrokerId {
    BrokerId::new("b").unwrap()
}

fn start() -> Image {
    Image::with_dir(Path::new(DIR))
}

fn files(disk: &SimDisk) -> ModuleFiles {
    ModuleFiles::new(Arc::new(disk.clone()), Path::new(DIR))
}

fn module(number: u8) -> Vec<u8> {
    vec![number; 1300]
}

/// The metadata as this store sees it, in the process that proposes.
struct Metadata(State);

impl Metadata {
    fn new() -> Self {
        let mut state = State::default();
        let register = Command::RegisterBroker {
            broker: broker(),
            host: "h".to_owned(),
            port: 1,
            now: Timestamp::ZERO,
        };
        apply(&mut state, 1, &register).unwrap();
        Self(state)
    }

    fn change(&mut self, change: PluginChange) {
        let (by, now) = ("ann".to_owned(), Timestamp::ZERO);
        apply(&mut self.0, 2, &Command::Plugins { change, by, now }).unwrap();
    }

    fn push(&mut self, bytes: &[u8]) {
        let facts = ModuleFacts {
            sha256: sha256(bytes),
            bytes: bytes.len() as u64,
            world: World::Filter,
            contract: ContractVersion { major: 1, minor: 0 },
            imports: Vec::new(),
        };
        let name = ModuleName::new(format!("m{}", bytes[0])).unwrap();
        self.change(PluginChange::Push { name, facts });
    }

    fn delete(&mut self, bytes: &[u8]) {
        let name = ModuleName::new(format!("m{}", bytes[0])).unwrap();
        self.change(PluginChange::Delete { name, version: None });
    }

    fn registry(&self) -> PluginRegistry {
        PluginRegistry::clone(self.0.plugins())
    }
}

/// What the metadata says from a moment on.
struct Known {
    since: usize,
    registry: PluginRegistry,
}

#[test]
fn pushes_and_deletions_survive_a_power_loss_at_any_operation() {
    let disk = SimDisk::of(start());
    let (store, mut metadata) = (files(&disk), Metadata::new());
    let mut known = vec![Known {
        since: 0,
        registry: metadata.registry(),
    }];
    let mut note = |metadata: &Metadata| {
        known.push(Known {
            since: disk.moment(),
            registry: metadata.registry(),
        });
    };
    for number in [1, 2] {
        assert!(store.keep(&module(number)).unwrap().1);
        metadata.push(&module(number));
        note(&metadata);
        store.settle(&sha256(&module(number))).unwrap();
    }
    metadata.delete(&module(1));
    note(&metadata);
    store.remove(&sha256(&module(1))).unwrap();
    // Pushed again, given up, and pushed for good.
    store.keep(&module(3)).unwrap();
    store.give_up(&sha256(&module(3))).unwrap();
    store.keep(&module(3)).unwrap();
    metadata.push(&module(3));
    note(&metadata);
    let mut images = 0;
    for moment in 0..=disk.moment() {
        // Of what is proposed at this moment either may be what the log holds.
        let last = known.iter().rposition(|known| known.since <= moment).unwrap();
        let first = known.iter().rposition(|known| known.since < moment).unwrap_or(0);
        for image in disk.crash_images(&start(), moment) {
            for known in &known[first..=last] {
                check(image.clone(), &known.registry, moment);
            }
            images += 1;
        }
    }
    assert!(images > 40, "{images} images");
}

/// After a start everything that the metadata knows is there, and nothing that it does not.
fn check(image: Image, registry: &PluginRegistry, moment: usize) {
    let disk = SimDisk::of(image);
    let store = files(&disk);
    let tidied = store.tidy(registry, &broker()).unwrap();
    assert_eq!(
        tidied.removed,
        registry.pending_removals(&broker()).collect::<Vec<_>>()
    );
    let known = [1, 2, 3]
        .map(module)
        .into_iter()
        .filter(|bytes| registry.has_bytes(&sha256(bytes)));
    let known: Vec<_> = known.collect();
    for bytes in &known {
        let read = store
            .read(&sha256(bytes))
            .unwrap_or_else(|error| panic!("moment {moment}: {error}"));
        assert_eq!(read, *bytes);
    }
    let there = disk.now().paths();
    assert_eq!(there.len(), known.len(), "moment {moment}: {there:?}");
    assert!(there.iter().all(|(path, _)| path.extension().unwrap() == "wasm"));
    // Once more changes nothing.
    let again = store.tidy(registry, &broker()).unwrap();
    assert_eq!((again.given_up, again.strangers), (0, Vec::new()));
    assert_eq!(disk.now().paths(), there);
}

#[test]
fn a_failure_at_any_operation_of_a_push_leaves_what_was_there() {
    for fault in [Fault::Whole, Fault::Half, Fault::NoRoom] {
        for operation in 0.. {
            let disk = SimDisk::of(start());
            let (store, mut metadata) = (files(&disk), Metadata::new());
            store.keep(&module(1)).unwrap();
            metadata.push(&module(1));
            store.settle(&sha256(&module(1))).unwrap();
            disk.fail_once_after(operation, fault);
            let kept = store.keep(&module(2));
            if !disk.has_failed() {
                assert!(operation > 3 && kept.is_ok());
                break;
            }
            let text = kept.unwrap_err().to_string();
            assert!(text.contains("/data"), "{text}");
            assert_eq!(store.read(&sha256(&module(1))).unwrap(), module(1));
            assert!(store.keep(&module(2)).unwrap().1, "it works again");
            assert_eq!(store.read(&sha256(&module(2))).unwrap(), module(2));
        }
    }
}

#[test]
fn damage_is_named_with_its_file_and_mended_by_a_push() {
    let disk = SimDisk::of(start());
    let store = files(&disk);
    let (sum, _) = store.keep(&module(1)).unwrap();
    store.settle(&sum).unwrap();
    let path = store.path(&sum, KNOWN);
    disk.flip(&path, 700, 1);
    let text = store.read(&sum).unwrap_err().to_string();
    assert!(
        text.contains(&path.display().to_string()) && text.contains("damaged"),
        "{text}"
    );
    assert!(store.keep(&module(1)).unwrap().1, "the good bytes are kept anew");
    store.settle(&sum).unwrap();
    assert_eq!(store.read(&sum).unwrap(), module(1));
    store.remove(&sum).unwrap();
    let text = store.read(&sum).unwrap_err().to_string();
    assert!(text.contains("is missing"), "{text}");
    assert!(
        !store
            .keep(&module(2))
            .and_then(|(sum, _)| store.settle(&sum).and_then(|()| store.keep(&module(2))))
            .unwrap()
            .1
    );
}

#[test]
fn what_nothing_is_known_of_is_left_alone() {
    let disk = SimDisk::of(start());
    let store = files(&disk);
    let (sum, _) = store.keep(&module(1)).unwrap();
    store.settle(&sum).unwrap();
    disk.open(&store.directory().join("notes.txt"), OpenMode::CreateNew)
        .unwrap();
    let tidied = store.tidy(&Metadata::new().registry(), &broker()).unwrap();
    assert_eq!(tidied.strangers, [format!("{sum}.wasm"), "notes.txt".to_owned()]);
    assert_eq!(disk.now().paths().len(), 2);
}

#[test]
fn names_of_files_stand_for_modules() {
    let sum = sha256(b"x");
    assert_eq!(module_of(&format!("{sum}.wasm")), Some((sum, false)));
    assert_eq!(module_of(&format!("{sum}.new")), Some((sum, true)));
    for name in ["", ".wasm", "x.wasm", &sum.to_string()] {
        assert_eq!(module_of(name), None, "{name}");
    }
}
