//! The log under power loss, damage and full disks.

use std::path::Path;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use strandline_core::disk::{Disk, OpenMode};

use super::*;
use strandline_storage_backends::sim::{Failing, Image, SimDisk};

const DIR: &str = "/metadata";

fn tiny() -> WalSettings {
    WalSettings {
        segment_bytes: 900,
        reserve_step_bytes: 256,
        headroom_bytes: 128,
        strict_order: true,
    }
}

fn dir() -> &'static Path {
    Path::new(DIR)
}

fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

fn entry(index: u64, term: u64) -> Record {
    Record::Entry {
        index,
        body: format!("entry {index} of term {term}").into_bytes(),
    }
}

fn purge(upto: u64) -> Record {
    Record::Purge {
        upto,
        body: upto.to_string().into_bytes(),
    }
}

/// Writes that use everything: votes, batches, truncation, purges, rolls.
fn workload() -> Vec<Vec<Record>> {
    let mut writes = vec![vec![Record::Vote(b"vote 1".to_vec())], vec![entry(0, 1)]];
    for index in (1..10).step_by(3) {
        writes.push((index..index + 3).map(|index| entry(index, 1)).collect());
    }
    writes.push(vec![Record::Vote(b"vote 2".to_vec())]);
    writes.push(vec![Record::Truncate { since: 8 }]);
    writes.extend((8..20).map(|index| vec![entry(index, 2)]));
    writes.push(vec![purge(12)]);
    writes.extend((20..26).map(|index| vec![entry(index, 2)]));
    writes.push(vec![purge(24)]);
    writes.push(vec![Record::Vote(b"vote 3".to_vec())]);
    writes.extend((26..32).map(|index| vec![entry(index, 3)]));
    writes.push(vec![purge(40), entry(41, 3)]);
    writes.push(vec![entry(42, 3), entry(43, 3)]);
    writes
}

/// Does one write as the store does: reserve, write, remove what is purged.
fn perform(wal: &mut Wal, records: &[Record], number: usize) -> Result<(), WalError> {
    wal.set_committed(format!("committed {number:02}").into_bytes());
    wal.reserve(100, Use::Growth)?;
    wal.write(records)?;
    wal.remove_purged()
}

fn after(records: &[Record], before: &Recovered) -> Recovered {
    let mut state = before.clone();
    for record in records {
        state.replay(record.clone()).unwrap();
    }
    state
}

fn without_committed(state: &Recovered) -> Recovered {
    Recovered {
        committed: None,
        ..state.clone()
    }
}

/// What a crash during the write of `records` may leave: all that was acked before, and any first part of these.
fn allowed(records: &[Record], before: &Recovered) -> Vec<Recovered> {
    (0..=records.len())
        .map(|count| after(&records[..count], before))
        .collect()
}

#[test]
fn what_was_written_is_there_after_any_power_loss_and_nothing_comes_back() {
    let start = Image::with_dir(dir());
    let disk = SimDisk::of(start.clone());
    let mut wal = Wal::create(shared(&disk), dir(), tiny()).unwrap();
    let (mut state, mut from, mut images) = (Recovered::default(), disk.moment(), 0);
    for (number, records) in workload().iter().enumerate() {
        perform(&mut wal, records, number).unwrap();
        let allowed = allowed(records, &state);
        for moment in from..=disk.moment() {
            for image in disk.crash_images(&start, moment) {
                check_image(&image, &allowed, &format!("write {number}, operation {moment}"));
                images += 1;
            }
        }
        (state, from) = (after(records, &state), disk.moment());
        let whole = disk.crash_images(&start, from);
        whole
            .into_iter()
            .for_each(|image| check_image(&image, std::slice::from_ref(&state), "after an ack"));
    }
    assert!(images > 600, "{images} images");
}

fn check_image(image: &Image, allowed: &[Recovered], context: &str) {
    let disk = SimDisk::of(image.clone());
    let (mut wal, recovered) = Wal::open(shared(&disk), dir(), tiny()).unwrap_or_else(|error| {
        panic!("{context}: {error}");
    });
    let found = without_committed(&recovered);
    assert!(
        allowed.contains(&found),
        "{context}: {found:?} is none of {allowed:?}"
    );
    for moment in 0..=disk.moment() {
        for image in disk.crash_images(image, moment) {
            let (_, again) = Wal::open(shared(&SimDisk::of(image)), dir(), tiny()).unwrap();
            assert_eq!(again, recovered, "{context}: power lost again during recovery");
        }
    }
    let next = entry(recovered.next_index.unwrap_or(0), 9);
    // Without reserving: what is left of a torn write must not be read again behind what consensus writes on its own.
    wal.set_committed(b"committed 99".to_vec());
    wal.write(std::slice::from_ref(&next)).unwrap();
    let (_, again) = Wal::open(shared(&disk), dir(), tiny()).unwrap();
    assert_eq!(
        without_committed(&again),
        after(&[next], &found),
        "{context}: written on after recovery"
    );
}

#[test]
fn a_first_start_that_loses_power_leaves_no_log_or_an_empty_one() {
    let start = Image::with_dir(dir());
    let disk = SimDisk::of(start.clone());
    Wal::create(shared(&disk), dir(), tiny()).unwrap();
    for moment in 0..=disk.moment() {
        for image in disk.crash_images(&start, moment) {
            let disk = SimDisk::of(image);
            if Wal::exists(&disk, dir()).unwrap() {
                let (_, recovered) = Wal::open(shared(&disk), dir(), tiny()).unwrap();
                assert_eq!(recovered, Recovered::default());
            } else {
                Wal::create(shared(&disk), dir(), tiny()).unwrap();
            }
        }
    }
}

fn written() -> SimDisk {
    let disk = SimDisk::of(Image::with_dir(dir()));
    let mut wal = Wal::create(shared(&disk), dir(), tiny()).unwrap();
    for (number, records) in workload().iter().enumerate() {
        perform(&mut wal, records, number).unwrap();
    }
    disk
}

#[test]
fn any_changed_byte_is_refused_with_its_position_or_was_never_read() {
    let disk = written();
    let (_, whole) = Wal::open(shared(&disk), dir(), tiny()).unwrap();
    let (mut refused, mut cut) = (0, 0);
    for name in disk.list(dir()).unwrap() {
        let path = dir().join(name.name);
        let length = disk.open(&path, OpenMode::Read).unwrap().len().unwrap();
        for position in 0..length {
            let disk = written();
            let file = disk.open(&path, OpenMode::Write).unwrap();
            let mut byte = Vec::new();
            file.read_at(position, 1, &mut byte).unwrap();
            file.write_at(position, &[byte[0] ^ 0x10]).unwrap();
            match Wal::open(shared(&disk), dir(), tiny()) {
                Err(error @ (WalError::Damaged { .. } | WalError::Format { .. })) => {
                    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
                    refused += 1;
                }
                Err(error) => panic!("{position}: {error}"),
                // Unwritten space behind the end, or the last write of all, which cannot be told from a torn one.
                Ok((_, recovered)) if recovered == whole => {}
                Ok((_, recovered)) => {
                    assert_eq!(recovered.vote, whole.vote);
                    assert!(
                        recovered.entries.len() + 2 >= whole.entries.len(),
                        "{position}: {recovered:?}"
                    );
                    cut += 1;
                }
            }
        }
    }
    assert!(refused > 300, "{refused} refused, {cut} cut");
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    let disk = SimDisk::of(Image::with_dir(dir()));
    let settings = WalSettings {
        segment_bytes: 300,
        ..tiny()
    };
    let mut wal = Wal::create(shared(&disk), dir(), settings).unwrap();
    for index in 0..30 {
        wal.reserve(60, Use::Growth).unwrap();
        wal.write(&[entry(index, 1)]).unwrap();
    }
    drop(wal);
    let mut names: Vec<_> = disk
        .list(dir())
        .unwrap()
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    names.sort();
    assert!(names.len() >= 4, "{names:?}");
    let last = names.len() - 1;
    let expected = [
        (0, "entry 0 is not there"),
        (1, names[1].as_str()),
        (last, names[last].as_str()),
    ];
    for (missing, text) in expected {
        let path = dir().join(&names[missing]);
        let file = disk.open(&path, OpenMode::Read).unwrap();
        let mut bytes = Vec::new();
        file.read_at(0, 1 << 20, &mut bytes).unwrap();
        disk.remove_file(&path).unwrap();
        let error = Wal::open(shared(&disk), dir(), settings)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(error.contains(text), "{error}");
        disk.open(&path, OpenMode::CreateNew)
            .unwrap()
            .write_at(0, &bytes)
            .unwrap();
    }
    Wal::open(shared(&disk), dir(), settings).unwrap();
}

#[test]
fn a_failed_sync_poisons_the_log() {
    let disk = SimDisk::of(Image::with_dir(dir()));
    let mut wal = Wal::create(shared(&disk), dir(), tiny()).unwrap();
    wal.write(&[entry(0, 1)]).unwrap();
    disk.fail(Failing::FileSyncs);
    assert!(matches!(
        wal.write(&[entry(1, 1)]),
        Err(WalError::Io {
            operation: "sync",
            ..
        })
    ));
    disk.fail(Failing::None);
    let error = wal.write(&[entry(1, 1)]).unwrap_err();
    assert!(matches!(error, WalError::Poisoned { .. }), "{error}");
    assert!(error.to_string().contains("injected"), "{error}");
    assert!(matches!(
        wal.reserve(1, Use::Essential),
        Err(WalError::Poisoned { .. })
    ));
}

#[test]
fn a_full_disk_refuses_growth_first_and_loses_nothing() {
    let disk = SimDisk::of(Image::with_dir(dir()));
    let mut wal = Wal::create(
        shared(&disk),
        dir(),
        WalSettings {
            headroom_bytes: 8192,
            ..tiny()
        },
    )
    .unwrap();
    wal.reserve(100, Use::Growth).unwrap();
    wal.write(&[entry(0, 1)]).unwrap();
    disk.limit_room(Some(0));
    let mut index = 1;
    while wal.reserve(100, Use::Growth).is_ok() {
        wal.write(&[entry(index, 1)]).unwrap();
        index += 1;
    }
    assert!(matches!(
        wal.reserve(100, Use::Growth),
        Err(WalError::Full { .. })
    ));
    let before = index;
    while wal.reserve(100, Use::Essential).is_ok() {
        wal.write(&[entry(index, 1)]).unwrap();
        index += 1;
    }
    assert!(index > before + 10, "the headroom is there for what is essential");
    disk.limit_room(None);
    wal.reserve(100, Use::Growth).unwrap();
    wal.write(&[entry(index, 1)]).unwrap();
    let (_, recovered) = Wal::open(shared(&disk), dir(), tiny()).unwrap();
    assert_eq!(recovered.entries.len() as u64, index + 1);
}

#[test]
fn a_write_that_found_no_room_is_cut_back() {
    let disk = SimDisk::of(Image::with_dir(dir()));
    let mut wal = Wal::create(shared(&disk), dir(), tiny()).unwrap();
    wal.write(&[entry(0, 1)]).unwrap();
    disk.limit_room(Some(0));
    let large = Record::Entry {
        index: 1,
        body: vec![7; 2000],
    };
    assert!(matches!(
        wal.write(std::slice::from_ref(&large)),
        Err(WalError::Full { .. })
    ));
    disk.limit_room(None);
    wal.write(&[large]).unwrap();
    let (_, recovered) = Wal::open(shared(&disk), dir(), tiny()).unwrap();
    assert_eq!(recovered.entries.len(), 2);
}

#[test]
fn an_entry_that_does_not_follow_is_refused() {
    let disk = SimDisk::of(Image::with_dir(dir()));
    let mut wal = Wal::create(shared(&disk), dir(), tiny()).unwrap();
    wal.write(&[entry(0, 1)]).unwrap();
    assert!(wal.write(&[entry(2, 1)]).is_err());
    wal.write(&[entry(1, 1)]).unwrap();
}

/// A process that was killed leaves what it wrote in the page cache, synced or not. The next process reads it there, and
/// must make it durable before anybody relies on it.
#[test]
fn what_is_read_back_after_a_kill_is_made_durable_first() {
    for failing in [Failing::FileSyncs, Failing::DirSyncs] {
        let start = Image::with_dir(dir());
        let disk = SimDisk::of(start.clone());
        let mut wal = Wal::create(shared(&disk), dir(), tiny()).unwrap();
        for index in 0..8 {
            perform(&mut wal, &[entry(index, 1)], 0).unwrap();
        }
        disk.fail(failing);
        let mut write = |index| {
            if failing == Failing::DirSyncs {
                wal.reserve(100, Use::Growth)?;
            }
            wal.write(&[entry(index, 1)])
        };
        let killed_at = (8..40).find(|&index| write(index).is_err()).unwrap();
        disk.fail(Failing::None);
        drop(wal);

        let (mut wal, recovered) = Wal::open(shared(&disk), dir(), tiny()).unwrap();
        assert!(recovered.entries.len() as u64 >= killed_at, "{failing:?}");
        for image in disk.crash_images(&start, disk.moment()) {
            let (_, found) = Wal::open(shared(&SimDisk::of(image)), dir(), tiny()).unwrap();
            assert_eq!(
                found.entries, recovered.entries,
                "{failing:?}: before anything else was written"
            );
        }
        wal.write(&[Record::Vote(b"relies on it".to_vec())]).unwrap();
        for image in disk.crash_images(&start, disk.moment()) {
            let (_, found) = Wal::open(shared(&SimDisk::of(image)), dir(), tiny()).unwrap();
            assert_eq!(found.entries, recovered.entries, "{failing:?}");
            assert_eq!(found.vote.as_deref(), Some(&b"relies on it"[..]));
        }
    }
}

/// What a store may ask for next, in terms of the state it is in.
#[derive(Clone, Copy, Debug)]
enum Step {
    Vote(u8),
    Append(u8),
    Truncate(u8),
    Purge(u8),
    Reopen,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => any::<u8>().prop_map(Step::Vote),
        5 => (1_u8..6).prop_map(Step::Append),
        1 => any::<u8>().prop_map(Step::Truncate),
        2 => any::<u8>().prop_map(Step::Purge),
        1 => Just(Step::Reopen),
    ]
}

fn records_of(step: Step, state: &Recovered) -> Vec<Record> {
    let next = state.next_index.unwrap_or(0);
    let first = state.first_expected();
    let within = |choice: u8| first + u64::from(choice) % (next - first).max(1);
    match step {
        Step::Vote(vote) => vec![Record::Vote(vec![vote])],
        Step::Append(count) => (next..next + u64::from(count))
            .map(|index| entry(index, index % 7))
            .collect(),
        Step::Truncate(choice) if next > first => vec![Record::Truncate {
            since: within(choice),
        }],
        Step::Purge(choice) if next > first => vec![purge(within(choice))],
        Step::Truncate(_) | Step::Purge(_) | Step::Reopen => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_sequence_of_writes_survives_a_power_loss_in_the_last(steps in vec(any_step(), 1..40)) {
        let start = Image::with_dir(dir());
        let disk = SimDisk::of(start.clone());
        let mut wal = Wal::create(shared(&disk), dir(), tiny()).unwrap();
        let (mut state, mut last) = (Recovered::default(), (Vec::new(), disk.moment()));
        for (number, &step) in steps.iter().enumerate() {
            if let Step::Reopen = step {
                drop(wal);
                let (reopened, recovered) = Wal::open(shared(&disk), dir(), tiny()).unwrap();
                prop_assert_eq!(without_committed(&recovered), after(&last.0, &state));
                wal = reopened;
            }
            state = after(&last.0, &state);
            last = (records_of(step, &state), disk.moment());
            perform(&mut wal, &last.0, number).unwrap();
        }
        for moment in last.1..=disk.moment() {
            for image in disk.crash_images(&start, moment) {
                check_image(&image, &allowed(&last.0, &state), &format!("{steps:?}, operation {moment}"));
            }
        }
    }

    #[test]
    fn no_content_of_a_file_makes_opening_panic(
        edits in vec((any::<prop::sample::Index>(), vec(any::<u8>(), 1..40)), 0..4),
        length in 0_u64..1200,
    ) {
        let disk = written();
        let name = disk.list(dir()).unwrap().pop().unwrap().name;
        let file = disk.open(&dir().join(name), OpenMode::Write).unwrap();
        for (position, bytes) in edits {
            file.write_at(position.index(1000) as u64, &bytes).unwrap();
        }
        file.set_len(length).unwrap();
        let _ = Wal::open(shared(&disk), dir(), tiny());
    }
}
