//! Trying a bucket out while its store has faults that pass, or gives no answers.

use std::sync::Arc;

use object_store::memory::InMemory;
use tokio::time::Instant;

use super::super::check::{Failed, probe};
use super::store::{Fault, Faulty};

// One request of every three failed, each with another of a passing kind: what was said then was that the store did not know
// conditional writes, and that streams could not be archived there.
#[tokio::test(start_paused = true)]
async fn faults_that_pass_are_not_held_against_a_bucket() {
    for fault in [Fault::Busy, Fault::BusyAfter, Fault::Conflict, Fault::Truncated] {
        for first in 0..3 {
            let inner = Arc::new(InMemory::new());
            let faulty = (first..600)
                .step_by(3)
                .fold(Faulty::new(&inner), |faulty, call| faulty.fail(call, fault));
            let report = probe(&faulty.bucket()).await;
            assert!(report.is_usable(), "{fault:?} {first}: {report:#?}");
            let left = Faulty::new(&inner).bucket().list("", 1000).await.unwrap();
            assert!(left.is_empty(), "{fault:?} {first}: {left:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_without_answers_is_given_up_soon_and_nothing_is_said_against_it() {
    let inner = Arc::new(InMemory::new());
    let faulty = (0..2000).fold(Faulty::new(&inner), |faulty, call| {
        faulty.fail(call, Fault::Silence)
    });
    let begun = Instant::now();
    let report = probe(&faulty.bucket()).await;
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    assert!(!report.is_usable() && !report.is_proven(), "{report:#?}");
    assert_eq!(report.findings.len(), 11);
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_is_proven() {
    let inner = Arc::new(InMemory::new());
    let faulty = (0..2000).fold(Faulty::new(&inner), |faulty, call| {
        faulty.fail(call, Fault::Denied)
    });
    let report = probe(&faulty.bucket()).await;
    let all_denied = report
        .findings
        .iter()
        .all(|finding| matches!(&finding.result, Err(Failed::Proven(reason)) if reason.contains("denies")));
    assert!(all_denied, "{report:#?}");
}
