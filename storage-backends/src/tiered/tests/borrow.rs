//! Places that borrow: they have what was there up to a time, and keep it whatever becomes of the lender's manifest.

use std::sync::Arc;

use futures_util::future::{Either, select};
use object_store::memory::InMemory;
use strandline_core::{LogId, Offset, Timestamp};

use super::super::survey::{Depth, Survey, Witness};
use super::super::{
    Archiver, ArchiverSettings, Cut, Expected, Loan, Means, PartitionArchive, Place, PointError, Points,
    Situation, Step, Throttle, lent_points,
};
use super::store::{Fault, Faulty};
use super::support::*;
use crate::check::Finding;

fn other() -> Place {
    Place {
        root: "cluster/copy.99".to_owned(),
        ..place()
    }
}

fn archive(faulty: &Faulty, place: Place) -> Arc<PartitionArchive> {
    PartitionArchive::new(faulty.bucket(), place)
}

async fn borrow(faulty: &Faulty, to: Option<Timestamp>) -> Result<Cut, PointError> {
    let lender = archive(faulty, place());
    let loan = Loan::of_head(&lender).await?;
    let cut = loan.cut(to).await?;
    let throttle = Throttle::new(None);
    let means = Means {
        part_bytes: PART_BYTES,
        throttle: &throttle,
        now: seconds(100),
    };
    loan.borrow(&cut, &archive(faulty, other()), means).await?;
    Ok(cut)
}

#[tokio::test(start_paused = true)]
async fn a_copy_holds_what_was_there_at_any_time_and_shares_all_but_a_part_of_a_segment() {
    const END: u64 = 40;
    let lender = Archived::new(END).await;
    for offset in 0..END + 3 {
        // The last record that is not later is the one before the offset.
        let to = Timestamp::from_nanos(time_of(offset).nanos() - 1);
        let cut = borrow(&Faulty::new(&lender.inner), Some(to)).await.unwrap();
        let expected = (offset / 2 * 2).min(END);
        let found = contents_at(&lender.inner, other()).await;
        found.assert_is(0, expected);
        assert_eq!(cut.end(), Offset::new(expected));
        let last = expected.checked_sub(1).map(time_of);
        assert_eq!(cut.last_time(), last, "{offset}");
        let own = found.entries.iter().filter(|entry| entry.place.is_none()).count();
        assert!(own <= 1, "{found:?}");
        Loan::give_back(&archive(&Faulty::new(&lender.inner), other()), seconds(100))
            .await
            .unwrap();
    }
    assert!(
        Points::of(&archive(&Faulty::new(&lender.inner), place()))
            .head()
            .await
            .unwrap()
            .points
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_cut_inside_a_page_takes_its_entries_along() {
    const END: u64 = 1000;
    let inner = Arc::new(InMemory::new());
    let (store, log) = memory_log();
    while log.end().get() < END {
        fill(&store, &log, log.end().get() + 2, 1);
        log.roll().unwrap();
    }
    let mut leader = archiver(&Faulty::new(&inner).bucket(), &log, 1, Expected::New);
    drive(&mut leader, &keeping(&log, 100)).await.unwrap();
    let situation = keeping_records(&log, END - 20, 200);
    drive(&mut leader, &situation).await.unwrap();
    let head = Points::of(&archive(&Faulty::new(&inner), place()))
        .head()
        .await
        .unwrap();
    assert!(head.pages.len() >= 2);
    let start = head.start.get();
    for offset in [
        10,
        start,
        start + 2,
        head.pages[0].range.end.get(),
        600,
        END - 2,
        END,
    ] {
        let to = Timestamp::from_nanos(time_of(offset).nanos() - 1);
        borrow(&Faulty::new(&inner), Some(to)).await.unwrap();
        let found = contents_at(&inner, other()).await;
        found.assert_is(start, offset.max(start));
        Loan::give_back(&archive(&Faulty::new(&inner), other()), seconds(200))
            .await
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn neither_side_deletes_what_the_other_reads() {
    let mut lender = Archived::new(40).await;
    borrow(&Faulty::new(&lender.inner), Some(time_of(27)))
        .await
        .unwrap();
    // The lender goes on and keeps little of what it had.
    let (store, log) = (Arc::clone(&lender.store), Arc::clone(&lender.log));
    fill(&store, &log, 60, 1);
    lender.log.roll().unwrap();
    lender.keep(10, 200).await;
    lender.keep(10, 2000).await;
    lender.archiver.collect(seconds(1 << 33), GRACE).await.unwrap();
    contents_at(&lender.inner, other()).await.assert_is(0, 28);
    let found = contents(&lender.inner).await;
    found.assert_is(found.start, 60);

    // So does the borrower, in a log of its own.
    let copy = lender.store.create(LogId::new(8), &tiny()).unwrap();
    copy.reset(Offset::new(28)).unwrap();
    fill(&lender.store, &copy, 50, 5);
    copy.roll().unwrap();
    let settings = ArchiverSettings {
        ..settings(5, Expected::Restored)
    };
    let borrower = archive(&Faulty::new(&lender.inner), other());
    let mut archiver = Archiver::new(Arc::clone(&borrower), Arc::clone(&copy), settings);
    drive(&mut archiver, &keeping(&copy, 200)).await.unwrap();
    contents_at(&lender.inner, other()).await.assert_is(0, 50);
    let trimming = keeping_records(&copy, 30, 300);
    let steps = drive(&mut archiver, &trimming).await.unwrap();
    assert!(steps.iter().any(|step| matches!(step, Step::TrimmedArchive(_))));
    drive(
        &mut archiver,
        &Situation {
            now: seconds(3000),
            ..trimming
        },
    )
    .await
    .unwrap();
    let copied = contents_at(&lender.inner, other()).await;
    copied.assert_is(copied.start, 50);
    assert!(copied.start > 0);
    let found = contents(&lender.inner).await;
    found.assert_is(found.start, 60);

    // Without the copy the lender lets go of what only that has read.
    let before = names(&lender.inner).await.len();
    let lent = lent_points(&Points::of(&borrower).head().await.unwrap());
    assert_eq!(lent.len(), 1);
    assert_eq!(lent[0].0, place());
    Loan::give_back(&borrower, seconds(3000)).await.unwrap();
    lender.keep(10, 4000).await;
    let after = names(&lender.inner).await.len();
    assert!(after < before, "{after} of {before}");
    let found = contents(&lender.inner).await;
    found.assert_is(found.start, 60);
}

#[tokio::test(start_paused = true)]
async fn what_has_left_the_manifest_since_it_was_read_is_not_lent() {
    let mut lender = Archived::new(40).await;
    let faulty = Faulty::new(&lender.inner);
    let loan = Loan::of_head(&archive(&faulty, place())).await.unwrap();
    let cut = loan.cut(None).await.unwrap();
    lender.keep(10, 200).await;
    let throttle = Throttle::new(None);
    let means = Means {
        part_bytes: PART_BYTES,
        throttle: &throttle,
        now: seconds(200),
    };
    let borrower = archive(&faulty, other());
    let error = loan.borrow(&cut, &borrower, means).await.unwrap_err();
    assert!(matches!(error, PointError::Outdated { .. }), "{error}");
    Loan::give_back(&borrower, seconds(200)).await.unwrap();
    borrow(&faulty, None).await.unwrap();
    let found = contents_at(&lender.inner, other()).await;
    found.assert_is(found.start, 40);
}

#[tokio::test(start_paused = true)]
async fn a_point_is_borrowed_as_it_was_and_a_copy_is_borrowed_on() {
    let mut lender = Archived::new(40).await;
    let faulty = Faulty::new(&lender.inner);
    let points = Points::of(&archive(&faulty, place()));
    let point = points.register("then", seconds(100)).await.unwrap();
    lender.keep(10, 200).await;
    lender.keep(10, 2000).await;
    let loan = Loan::of_point(&archive(&faulty, place()), &point.object)
        .await
        .unwrap()
        .unwrap();
    let cut = loan.cut(Some(time_of(25))).await.unwrap();
    let throttle = Throttle::new(None);
    let means = Means {
        part_bytes: PART_BYTES,
        throttle: &throttle,
        now: seconds(2000),
    };
    let first = archive(&faulty, other());
    loan.borrow(&cut, &first, means).await.unwrap();
    assert!(points.remove("then", seconds(2000)).await.unwrap());
    lender.keep(10, 4000).await;
    contents_at(&lender.inner, other()).await.assert_is(0, 26);
    assert_eq!(
        Loan::of_point(&archive(&faulty, place()), &point.object)
            .await
            .unwrap()
            .map(|_| ()),
        None
    );

    let second = Place {
        root: "cluster/copy.100".to_owned(),
        ..place()
    };
    let loan = Loan::of_head(&first).await.unwrap();
    let cut = loan.cut(Some(time_of(15))).await.unwrap();
    loan.borrow(&cut, &archive(&faulty, second.clone()), means)
        .await
        .unwrap();
    contents_at(&lender.inner, second).await.assert_is(0, 16);
}

#[tokio::test(start_paused = true)]
async fn a_crash_or_a_fault_at_any_request_leaves_nothing_that_cannot_be_given_back() {
    let mut calls = 1;
    let mut call = 0;
    while call < calls {
        for fault in Fault::ANSWERS
            .into_iter()
            .chain([Fault::KilledBefore, Fault::KilledAfter])
        {
            let mut lender = Archived::new(40).await;
            let faulty = Faulty::new(&lender.inner).fail(call, fault);
            let work = std::pin::pin!(borrow(&faulty, Some(time_of(27))));
            let killed = std::pin::pin!(faulty.killed());
            let done = match select(work, killed).await {
                Either::Left((done, _)) => done.is_ok(),
                Either::Right(_) => false,
            };
            calls = calls.max(faulty.calls().len().min(60));
            let what = format!("{fault:?} at call {call}");
            if done {
                contents_at(&lender.inner, other()).await.assert_is(0, 28);
            }
            let borrower = archive(&Faulty::new(&lender.inner), other());
            Loan::give_back(&borrower, seconds(100)).await.unwrap();
            let head = Points::of(&archive(&Faulty::new(&lender.inner), place()))
                .head()
                .await
                .unwrap();
            assert!(head.points.is_empty(), "{what}");
            lender.keep(10, 200).await;
            lender.keep(10, 2000).await;
            lender.archiver.collect(seconds(1 << 33), GRACE).await.unwrap();
            let found = contents(&lender.inner).await;
            found.assert_is(found.start, 40);
            let left = names(&lender.inner).await;
            assert_eq!(left.len(), found.entries.len() + 1, "{what}: {left:?}");
        }
        call += 1;
    }
    assert!(calls > 10, "{calls}");
}

#[derive(Default)]
struct Heard(Vec<Finding>);

impl Witness for Heard {
    fn looked_at(&mut self, _: u64) {}

    fn found(&mut self, finding: Finding) {
        self.0.push(finding);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_borrowed_is_looked_at_where_it_lies() {
    let mut lender = Archived::new(40).await;
    let faulty = Faulty::new(&lender.inner);
    borrow(&faulty, Some(time_of(27))).await.unwrap();
    lender.keep(10, 200).await;
    lender.keep(10, 2000).await;
    let survey = Survey::new(faulty.bucket());
    for place in [place(), other()] {
        let mut heard = Heard::default();
        survey.verify(&place, Depth::Bytes, &mut heard).await.unwrap();
        assert!(heard.0.is_empty(), "{place}: {:?}", heard.0);
    }
    let copy = contents_at(&lender.inner, other()).await;
    let key = copy.entries[0].key(&other());
    faulty.bucket().delete(&key).await.unwrap();
    for place in [place(), other()] {
        let mut heard = Heard::default();
        survey.verify(&place, Depth::Bytes, &mut heard).await.unwrap();
        let keys: Vec<_> = heard
            .0
            .iter()
            .map(|finding| finding.file.display().to_string())
            .collect();
        assert_eq!(keys, std::slice::from_ref(&key), "{place}");
    }
}
