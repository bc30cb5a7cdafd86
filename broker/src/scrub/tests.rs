//! What the scrubber says of real segment files.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bytes::BytesMut;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use strandline_core::record::{BatchBuilder, Fields, RecordIter, append_record};
use strandline_core::storage::{Factory, LogSettings, ReadLimit, SegmentSummary, Store};
use strandline_core::{LeaderEpoch, OffsetRange, Timestamp};
use strandline_storage_backends::{SegmentFactory, SystemDisk};

use super::*;
use crate::metrics::Counter;
use crate::reader::tests::faraway::Faraway;

const SEGMENTS: u64 = 3;
const VALUE: [u8; 1000] = [7; 1000];

/// A log of sealed segments of ten records each.
struct Fixture {
    directory: TempDir,
    _store: Arc<dyn Store>,
    log: Arc<dyn Log>,
    pace: Pace,
    read: Counter,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(SystemDisk::new());
        let store = SegmentFactory::new().open(disk, directory.path()).unwrap();
        let log = store.create(LogId::new(1), &LogSettings::default()).unwrap();
        for segment in 0..SEGMENTS {
            append(log.as_ref(), segment * 10);
            log.roll().unwrap();
        }
        Self {
            directory,
            _store: store,
            log,
            pace: Pace::new(CancellationToken::new(), 0),
            read: Counter::default(),
        }
    }

    fn sealed(&self) -> Vec<SegmentSummary> {
        let mut segments = self.log.segments();
        segments.retain(|segment| segment.sealed);
        segments
    }

    fn check(&self, segment: &SegmentSummary) -> Finding {
        segment::check(self.log.as_ref(), segment, &self.pace, &self.read).unwrap()
    }

    /// The file of the segment with this number.
    fn file(&self, number: usize) -> PathBuf {
        let directory = fs::read_dir(self.directory.path()).unwrap();
        let logs = directory
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir());
        let files = logs.flat_map(|log| fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()));
        let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "seg");
        let mut files: Vec<_> = files.filter(is_segment).collect();
        files.sort();
        files.swap_remove(number)
    }
}

fn append(log: &dyn Log, base: u64) {
    let mut builder = BatchBuilder::new();
    for offset in base..base + 10 {
        let fields = Fields {
            key: None,
            value: &VALUE,
            subject: "s",
            reply: "",
        };
        let mut bytes = BytesMut::new();
        append_record(&mut bytes, &fields, []).unwrap();
        let record = RecordIter::new(&bytes).next().unwrap();
        builder.push(&record, LeaderEpoch::new(1), Offset::new(offset), Timestamp::ZERO);
    }
    let _commit = log.append(&[builder.finish().unwrap()]).unwrap();
}

#[test]
fn what_is_as_it_was_written_is_sound_and_all_of_it_is_read() {
    let fixture = Fixture::new();
    let sealed = fixture.sealed();
    assert_eq!(sealed.len() as u64, SEGMENTS);
    for segment in &sealed {
        assert_eq!(fixture.check(segment), Finding::Sound);
    }
    let stored: u64 = sealed.iter().map(|segment| segment.bytes).sum();
    assert_eq!(fixture.read.get(), stored);
}

#[test]
fn a_flipped_bit_is_named_with_its_file_and_the_neighbours_are_sound() {
    let fixture = Fixture::new();
    let path = fixture.file(1);
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 5000).unwrap();
    file.write_all_at(&[byte[0] ^ 4], 5000).unwrap();
    let found: Vec<_> = fixture
        .sealed()
        .iter()
        .map(|segment| fixture.check(segment))
        .collect();
    assert_eq!((&found[0], &found[2]), (&Finding::Sound, &Finding::Sound));
    let Finding::Damaged(problem) = &found[1] else {
        panic!("{found:?}");
    };
    assert!(problem.contains(path.to_str().unwrap()), "{problem}");
    assert!(problem.contains("at byte"), "{problem}");
}

#[test]
fn a_file_that_was_cut_is_damaged() {
    let fixture = Fixture::new();
    let path = fixture.file(0);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(6000).unwrap();
    let Finding::Damaged(problem) = fixture.check(&fixture.sealed()[0]) else {
        panic!("a file without its end is sound");
    };
    assert!(problem.contains(path.to_str().unwrap()), "{problem}");
    assert!(problem.contains("at byte 6000: it ends there"), "{problem}");
}

#[test]
fn what_is_removed_or_written_anew_while_it_is_read_is_not_damaged() {
    let fixture = Fixture::new();
    let before = fixture.sealed();
    fixture.log.remove_before(Offset::new(10)).unwrap();
    assert_eq!(fixture.check(&before[0]), Finding::Gone);
    let left = fixture.log.read(
        before[2].range.start,
        ReadLimit {
            end: Offset::MAX,
            max_bytes: 0,
        },
    );
    let batch = left.unwrap().batches().next().unwrap().unwrap();
    let joined = before[1].range.start..before[2].range.end;
    fixture
        .log
        .replace_sealed(
            OffsetRange::new(joined.start, joined.end),
            &mut [Ok(batch)].into_iter(),
        )
        .unwrap();
    assert_eq!(fixture.check(&before[1]), Finding::Gone);
    for segment in &fixture.sealed() {
        assert_eq!(fixture.check(segment), Finding::Sound);
    }
}

#[test]
fn records_that_are_missing_between_sound_batches_are_damage() {
    let fixture = Fixture::new();
    let announced = SegmentSummary {
        records: 11,
        ..fixture.sealed()[0]
    };
    let found = fixture.check(&announced);
    assert_eq!(
        found,
        Finding::Damaged("10 of its 11 records are there".to_owned())
    );
}

#[test]
fn a_stop_ends_the_reading() {
    let stopping = CancellationToken::new();
    let fixture = Fixture::new();
    let pace = Pace::new(stopping.clone(), 1);
    stopping.cancel();
    let segment = fixture.sealed()[0];
    let ended = segment::check(fixture.log.as_ref(), &segment, &pace, &fixture.read);
    assert_eq!(ended, Err(Stopped));
}

#[test]
fn nothing_is_said_about_a_segment_that_went_to_an_archive() {
    let fixture = Fixture::new();
    let far = Faraway::new(Arc::clone(&fixture.log), 10);
    let found = fixture
        .sealed()
        .iter()
        .map(|segment| segment::check(far.as_ref(), segment, &fixture.pace, &fixture.read).unwrap())
        .collect::<Vec<_>>();
    assert_eq!(found, [Finding::Gone, Finding::Sound, Finding::Sound]);
}
