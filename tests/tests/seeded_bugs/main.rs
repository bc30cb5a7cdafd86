//! Bugs put into the example engine one at a time: the suite finds each, and names the case.
//!
//! A suite that passes proves nothing unless it fails for an engine that is wrong. The bugs are wrappers around the engine's
//! disk, store and logs, so that the engine itself can be read without them.

mod bugs;
mod disk;
mod log;

use strandline_storage_backends::conformance::{Part, Subject, check};
use strandline_tests::journal::JournalFactory;

use bugs::{Bug, Buggy};

/// Enough for bugs that chance has to find; a run on an engine of one's own tries many more.
const SEQUENCES: u32 = 300;

/// Checks that a part of the suite fails for an engine with this bug, in a case whose name has these words.
fn finds(bug: Bug, part: Part, words: &str) {
    let subject = Subject::in_memory(Buggy::new(JournalFactory::new(), bug));
    expect(&subject, bug, part, words);
}

fn expect(subject: &Subject, bug: Bug, part: Part, words: &str) {
    let subject_report = check(subject, &[part]);
    let failed = |case: &str| case.contains(words);
    assert!(
        subject_report
            .failures
            .iter()
            .any(|failure| failed(&failure.case) && !failure.reason.is_empty()),
        "{bug:?} was to fail in a case of {part:?} with the words \"{words}\": {subject_report}"
    );
}

fn finds_by_chance(bug: Bug, words: &str) {
    let subject = Subject::in_memory(Buggy::new(JournalFactory::new(), bug)).sequences(SEQUENCES);
    expect(&subject, bug, Part::Sequences, words);
}

#[test]
fn the_wrappers_without_a_bug_pass() {
    let subject = Subject::in_memory(Buggy::new(JournalFactory::new(), Bug::None)).sequences(SEQUENCES);
    let report = check(&subject, &[Part::Contract, Part::Sequences, Part::Damage]);
    assert!(report.is_clean(), "{report}");
}

#[test]
fn a_directory_that_is_not_synced_is_found() {
    finds(
        Bug::DirectoryNotSynced,
        Part::Crashes,
        "a power loss at any moment",
    );
}

#[test]
fn a_file_that_is_not_synced_is_found() {
    finds(Bug::FileNotSynced, Part::Crashes, "appends with a sync each");
}

#[test]
fn a_sync_at_opening_that_is_left_out_is_found() {
    finds(
        Bug::RecoveryNotSynced,
        Part::Crashes,
        "a power loss at any moment",
    );
}

#[test]
fn a_handle_that_resolves_before_the_sync_is_found() {
    finds(
        Bug::CommitBeforeSync,
        Part::Contract,
        "a handle resolves with the sync after its append",
    );
}

#[test]
fn a_handle_that_resolves_with_a_sync_in_flight_is_found() {
    finds(
        Bug::CommitWithSyncInFlight,
        Part::Concurrency,
        "does not resolve its handle",
    );
}

#[test]
fn a_handle_of_records_that_were_cut_and_succeeds_is_found() {
    finds_by_chance(Bug::CutHandleSucceeds, "random sequences");
}

#[test]
fn a_truncation_that_leaves_a_batch_too_many_is_found() {
    finds(Bug::TruncatesTooLittle, Part::Contract, "a truncation cuts");
    finds_by_chance(Bug::TruncatesTooLittle, "random sequences");
}

#[test]
fn a_wrong_end_after_a_truncation_is_found() {
    finds(Bug::WrongEndAfterTruncation, Part::Contract, "a truncation cuts");
}

#[test]
fn epochs_that_a_truncation_forgets_are_found() {
    finds(
        Bug::EpochsForgottenByTruncation,
        Part::Contract,
        "a truncation cuts",
    );
    finds_by_chance(Bug::EpochsForgottenByTruncation, "random sequences");
}

#[test]
fn damaged_bytes_that_are_served_are_found() {
    // This one is in the engine: no wrapper gets at bytes that it refuses.
    let subject = Subject::in_memory(Buggy::new(JournalFactory::new().trusting(), Bug::None));
    expect(&subject, Bug::None, Part::Damage, "a bit that is flipped");
}

#[test]
fn sealed_segments_that_a_replacement_can_lose_are_found() {
    finds(Bug::ReplacesInTwoSteps, Part::Crashes, "a replacement");
}

#[test]
fn a_removal_of_the_active_segment_is_found() {
    finds(
        Bug::RemovesActive,
        Part::Contract,
        "leading segments go, the active one stays",
    );
}

#[test]
fn a_removal_of_a_segment_that_is_still_needed_is_found() {
    finds_by_chance(Bug::RemovesTooMuch, "random sequences");
}

#[test]
fn errors_of_writes_that_are_swallowed_are_found() {
    finds(
        Bug::WriteErrorsSwallowed,
        Part::Faults,
        "costs nothing that was acknowledged",
    );
}

#[test]
fn errors_of_syncs_that_are_swallowed_are_found() {
    finds(
        Bug::SyncErrorsSwallowed,
        Part::Faults,
        "costs nothing that was acknowledged",
    );
}

#[test]
fn a_log_that_goes_on_after_a_failed_sync_is_found() {
    finds(
        Bug::GoesOnAfterFailedSync,
        Part::Faults,
        "costs nothing that was acknowledged",
    );
}

#[test]
fn an_opening_that_loses_the_last_batch_is_found() {
    finds(Bug::OpensWithoutLastBatch, Part::Contract, "logs are there again");
    finds_by_chance(Bug::OpensWithoutLastBatch, "random sequences");
}

#[test]
fn a_look_up_by_time_that_is_one_off_is_found() {
    finds(Bug::TimeOneOff, Part::Contract, "a time is found at its record");
}

#[test]
fn a_read_that_passes_over_a_batch_is_found() {
    finds_by_chance(Bug::ReadSkipsBatch, "random sequences");
}

#[test]
fn a_deletion_that_leaves_a_closed_log_is_found() {
    finds(
        Bug::DeletesOpenOnly,
        Part::Contract,
        "a log that is closed can be deleted",
    );
}

#[test]
fn an_order_of_epochs_that_is_not_checked_is_found() {
    finds(
        Bug::OrderNotChecked,
        Part::Contract,
        "a batch that does not continue the log",
    );
}

#[test]
fn a_failure_tells_the_smallest_sequence_and_its_seed() {
    let subject =
        Subject::in_memory(Buggy::new(JournalFactory::new(), Bug::RemovesTooMuch)).sequences(SEQUENCES);
    let report = check(&subject.seed(7), &[Part::Sequences]);
    let reason = &report.failures[0].reason;
    assert!(
        reason.contains("with the smallest sequence: (false, [") && reason.contains("of seed 7"),
        "{reason}"
    );
    // Something to remove, sealed, and the removal: nothing else is left of two dozen operations.
    assert!(reason.matches("log:").count() <= 6, "{reason}");
}
