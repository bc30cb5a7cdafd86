//! The example engine against the suite that every storage engine has to pass.

use std::sync::Arc;

use strandline_storage_backends::SystemDisk;
use strandline_storage_backends::conformance::{Part, Subject, run};
use strandline_tests::journal::JournalFactory;

fn in_memory() -> Subject {
    Subject::in_memory(JournalFactory::new())
}

#[test]
fn the_example_engine_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let subject = Subject::new(
        JournalFactory::new(),
        Arc::new(SystemDisk::new()),
        directory.path(),
    );
    run(&subject, &[Part::Contract, Part::Concurrency, Part::Limits]);
}

#[test]
fn the_example_engine_does_what_the_model_does() {
    run(&in_memory(), &[Part::Sequences]);
}

#[test]
fn the_example_engine_survives_power_losses() {
    run(&in_memory(), &[Part::Crashes]);
}

#[test]
fn the_example_engine_survives_faults_and_damage() {
    run(&in_memory(), &[Part::Faults, Part::Damage]);
}
