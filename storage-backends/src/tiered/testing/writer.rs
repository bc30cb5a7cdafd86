//! Writes archives as a leader would, without its fences.

use std::sync::Arc;

use bytes::Bytes;

use strandline_core::record::Batch;
use strandline_core::{LeaderEpoch, LogId, Offset, OffsetRange, PartitionId};

use crate::tiered::object::Blocks;
use crate::tiered::page::PageDocument;
use crate::tiered::{Bucket, Entry, Head, PageRef, PartitionArchive, Place, Tombstones, document};

/// The writer of one archive.
pub(in crate::tiered) struct Writer {
    bucket: Arc<Bucket>,
    place: Place,
    head: Head,
    objects: u64,
}

impl Writer {
    /// An archive that begins, empty, at an offset.
    pub(in crate::tiered) async fn new(bucket: Arc<Bucket>, start: u64) -> Self {
        let place = Place {
            root: "cluster/orders.1".to_owned(),
            partition: PartitionId::new(0),
        };
        let head = Head {
            place: place.root.clone(),
            partition: place.partition,
            log: LogId::new(1),
            epoch: LeaderEpoch::new(1),
            writer: "0".repeat(32),
            sequence: 0,
            start: Offset::new(start),
            end: Offset::new(start),
            pages: vec![],
            entries: vec![],
            gaps: vec![],
            gone: vec![],
            points: vec![],
            borrowed: vec![],
            compacted: Offset::ZERO,
            tombstones: Tombstones::default(),
            purging: false,
        };
        let mut writer = Self {
            bucket,
            place,
            head,
            objects: 0,
        };
        writer.publish().await;
        writer
    }

    /// What readers share.
    pub(in crate::tiered) fn archive(&self) -> Arc<PartitionArchive> {
        PartitionArchive::new(Arc::clone(&self.bucket), self.place.clone())
    }

    pub(in crate::tiered) fn head(&self) -> &Head {
        &self.head
    }

    /// Key of a segment's object.
    pub(in crate::tiered) fn key(&self, number: usize) -> String {
        self.place.key(&self.head.entries[number].name)
    }

    /// Adds a segment that answers for the offsets up to `end`; a gap when there are no batches.
    pub(in crate::tiered) async fn add(&mut self, batches: &[Batch], end: Offset) {
        let range = OffsetRange::new(self.head.end, end);
        if range.is_empty() {
            return;
        }
        let (mut blocks, header) = Blocks::begin(range.start);
        let mut object = header.to_vec();
        for batch in batches {
            blocks
                .push(batch)
                .iter()
                .for_each(|bytes| object.extend_from_slice(bytes));
        }
        let Some((rest, totals)) = blocks.finish() else {
            self.head.gaps.push(range);
            self.head.end = end;
            return self.publish().await;
        };
        rest.iter().for_each(|bytes| object.extend_from_slice(bytes));
        self.objects += 1;
        let entry = Entry::of(
            format!(
                "segments/{:020}-{end:020}-1-{:032x}",
                range.start.get(),
                self.objects
            ),
            range,
            totals,
        );
        self.put(&entry.name, object.into()).await;
        self.head.entries.push(entry);
        self.head.end = end;
        self.publish().await;
    }

    /// Moves all entries but so many into a page.
    pub(in crate::tiered) async fn spill(&mut self, keep: usize) {
        let count = self.head.entries.len().saturating_sub(keep);
        let entries: Vec<_> = self.head.entries.drain(..count).collect();
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return;
        };
        let page = PageRef {
            name: format!("manifest/{:020}.{:032x}", self.head.sequence, 0),
            place: None,
            range: OffsetRange::new(first.range.start, last.range.end),
            segments: entries.len() as u64,
            records: entries.iter().map(|entry| entry.records).sum(),
            bytes: entries.iter().map(|entry| entry.bytes).sum(),
            last_time: last.last_time,
            epoch: first.epochs[0].0,
        };
        let document = PageDocument {
            place: self.place.root.clone(),
            partition: self.place.partition,
            entries,
        };
        let bytes = document::encode(PageDocument::KIND, &document).unwrap();
        self.put(&page.name, bytes).await;
        self.head.pages.push(page);
        self.publish().await;
    }

    /// Takes out what lies before the entry or gap at the new start, and deletes it at once.
    pub(in crate::tiered) async fn remove_before(&mut self, start: Offset) {
        let head = &mut self.head;
        let gone: Vec<_> = head
            .entries
            .extract_if(.., |entry| entry.range.end <= start)
            .map(|entry| entry.name)
            .chain(
                head.pages
                    .extract_if(.., |page| page.range.end <= start)
                    .map(|page| page.name),
            )
            .collect();
        head.gaps.retain(|gap| gap.end > start);
        head.start = start;
        self.publish().await;
        for name in gone {
            self.bucket.delete(&self.place.key(&name)).await.unwrap();
        }
    }

    async fn publish(&mut self) {
        self.head.sequence += 1;
        self.head.check().unwrap();
        let bytes = document::encode(Head::KIND, &self.head).unwrap();
        self.put(Place::HEAD, bytes).await;
    }

    async fn put(&self, name: &str, bytes: Bytes) {
        self.bucket.put(&self.place.key(name), bytes).await.unwrap();
    }
}
