//! A manifest with more entries than HEAD takes.

use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use strandline_core::Offset;
use strandline_core::retention::RetentionLimits;

use super::super::{Expected, Found, PartitionArchive, Situation};
use super::store::Faulty;
use super::support::*;

const END: u64 = 1200;

#[tokio::test]
async fn entries_move_into_pages_are_found_there_and_leave_with_them() {
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    while log.end().get() < END {
        fill(&store, &log, log.end().get() + 2, 1);
        log.roll().unwrap();
    }
    let bucket = Faulty::new(&inner).bucket();
    let archive = PartitionArchive::new(Arc::clone(&bucket), place());
    let mut archiver =
        super::super::Archiver::new(Arc::clone(&archive), Arc::clone(&log), settings(1, Expected::New));
    drive(&mut archiver, &keeping(&log, 1000)).await.unwrap();
    let view = archive.view().unwrap();
    assert!(view.pages().len() >= 2, "{}", view.pages().len());
    let (head, _) = bucket.get(&place().key("HEAD")).await.unwrap();
    assert!(head.len() <= 65 << 10, "{}", head.len());
    contents(&inner).await.assert_is(0, END);
    for offset in 0..END {
        let offset = Offset::new(offset);
        let entry = match view.find(offset).unwrap() {
            Found::Entry(entry) => entry,
            Found::Page(page) => match archive.page(&page).await.unwrap().find(offset).unwrap() {
                Found::Entry(entry) => entry,
                other => panic!("{other:?}"),
            },
            Found::Gap(gap) => panic!("{gap}"),
        };
        assert!(entry.range.contains(offset));
    }
    let time = time_of(5);
    let Some(Found::Page(page)) = view.at_time(time) else {
        panic!("the oldest entries are in a page");
    };
    let entry = archive.page(&page).await.unwrap().at_time(time).unwrap();
    assert_eq!(entry.range.start.get(), 4);

    // Into the first page, then into the second, then all.
    let by_age = RetentionLimits {
        max_age: Some(Duration::ZERO),
        ..RetentionLimits::default()
    };
    let cuts = [END - 10, END - page.records - 10].map(|keep| (keep, records(keep)));
    for (keep, total) in cuts.into_iter().chain([(0, by_age)]) {
        let situation = Situation {
            total,
            ..keeping(&log, 1000)
        };
        drive(&mut archiver, &situation).await.unwrap();
        contents(&inner).await.assert_is(END - keep, END);
    }
    drive(&mut archiver, &keeping(&log, 2000)).await.unwrap();
    assert_eq!(names(&inner).await, ["HEAD"]);
}

#[tokio::test]
async fn a_page_that_is_missing_does_not_hold_up_what_is_new() {
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    while log.end().get() < END {
        fill(&store, &log, log.end().get() + 2, 1);
        log.roll().unwrap();
    }
    let bucket = Faulty::new(&inner).bucket();
    let mut archiver = archiver(&bucket, &log, 1, Expected::New);
    drive(&mut archiver, &keeping(&log, 1000)).await.unwrap();
    let page = names(&inner)
        .await
        .into_iter()
        .find(|name| name.starts_with("manifest/"))
        .unwrap();
    bucket.delete(&place().key(&page)).await.unwrap();
    fill(&store, &log, END + 2, 1);
    log.roll().unwrap();
    let situation = Situation {
        total: records(10),
        ..keeping(&log, 1000)
    };
    assert!(matches!(
        archiver.step(&situation).await,
        Ok(super::super::Step::Uploaded(_))
    ));
    let error = archiver.step(&situation).await.unwrap_err();
    assert!(error.to_string().contains(&page), "{error}");
}
