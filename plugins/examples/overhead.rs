//! What asking a plugin costs: `cargo run --release -p strandline-plugins --example overhead [FILTER.wasm[=SETTINGS]]...`.

#[path = "../tests/guests/mod.rs"]
mod guests;

use std::error::Error;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use guests::{ACCEPT_ALL, ACCEPT_ALL_VALUES, Guest};
use strandline_core::record::{Fields, RecordIter, append_record};
use strandline_plugins::{
    AttachOptions, Attachment, Cost, Host, HostSettings, Judgement, Packer, World, measure,
};

const VALUE_BYTES: usize = 254;
const RUN: Duration = Duration::from_millis(300);

#[expect(clippy::print_stdout, reason = "what it measures is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let settings = || HostSettings {
        cache_dir: Some(dir.path().to_owned()),
        ..HostSettings::default()
    };
    let host = Host::new(settings())?;
    println!(
        "accept-all filter, {VALUE_BYTES}-byte values, ns a record (packing alone / packing and judging)"
    );
    for (name, guest) in [
        ("needs nothing", ACCEPT_ALL),
        ("needs the value", ACCEPT_ALL_VALUES),
    ] {
        for records in [1, 10, 100, 1_000, 10_000] {
            let attachment = attach(&host, &guest)?;
            let cost = cost(&attachment, records)?;
            println!(
                "{name:>16}, batches of {records:>6}: {:7.1} {:7.1}  call {:7.1}",
                cost.packing,
                cost.whole,
                cost.asking()
            );
        }
    }
    for given in std::env::args().skip(1) {
        let (path, settings) = given.split_once('=').unwrap_or((&given, ""));
        let module = host.load(&std::fs::read(path)?)?;
        println!(
            "{path}: {:?}, imports {}",
            module.origin(),
            module.info().imports.join(" ")
        );
        let options = AttachOptions {
            settings: settings.to_owned(),
            ..AttachOptions::new(module.info().world)
        };
        let start = Instant::now();
        let attachment = host.attach(&module, options)?;
        println!(
            "  first instance and init: {:?}, {:?}",
            start.elapsed(),
            attachment.needs()
        );
        let cost = cost(&attachment, 1_000)?;
        println!(
            "  batches of 1,000: {:.1} {:.1}, {:?}",
            cost.packing,
            cost.whole,
            attachment.numbers()
        );
    }
    let wasm = ACCEPT_ALL.wasm();
    drop(host);
    let host = Host::new(settings())?;
    let start = Instant::now();
    let module = host.load(&wasm)?;
    println!(
        "load from a warm cache: {:?} ({:?})",
        start.elapsed(),
        module.origin()
    );
    let start = Instant::now();
    let first = host.attach(&module, AttachOptions::new(World::Filter))?;
    println!("first instance and init: {:?}", start.elapsed());
    let before = resident()?;
    let start = Instant::now();
    let mut attachments = vec![first];
    for _ in 0..500 {
        attachments.push(host.attach(&module, AttachOptions::new(World::Filter))?);
    }
    let took = start.elapsed();
    let attached = resident()? - before;
    for attachment in &attachments {
        measure_once(attachment, 1_000)?;
    }
    println!(
        "500 more attachments: {took:?}, {} KiB resident; after a batch of 1,000 each: {} KiB",
        attached >> 10,
        (resident()? - before) >> 10
    );
    Ok(())
}

fn attach(host: &Host, guest: &Guest) -> Result<Attachment, Box<dyn Error>> {
    let module = host.load(&guest.wasm())?;
    Ok(host.attach(&module, AttachOptions::new(World::Filter))?)
}

fn stored(records: usize) -> Result<BytesMut, Box<dyn Error>> {
    let mut bytes = BytesMut::new();
    let value = [b'v'; VALUE_BYTES];
    let fields = Fields {
        key: None,
        value: &value,
        subject: "orders.eu",
        reply: "",
    };
    for _ in 0..records {
        append_record(&mut bytes, &fields, [])?;
    }
    Ok(bytes)
}

fn cost(attachment: &Attachment, records: usize) -> Result<Cost, Box<dyn Error>> {
    let bytes = stored(records)?;
    let cost = measure(attachment, RUN, |packer| {
        packer.begin(attachment.needs(), records);
        RecordIter::new(&bytes).all(|record| packer.push(&record));
    });
    if attachment.numbers().failed > 0 {
        return Err("a plugin that is measured fails".into());
    }
    Ok(cost)
}

fn measure_once(attachment: &Attachment, records: usize) -> Result<(), Box<dyn Error>> {
    let bytes = stored(records)?;
    let mut packer = Packer::new();
    packer.begin(attachment.needs(), records);
    RecordIter::new(&bytes).all(|record| packer.push(&record));
    attachment.judge(packer.batch(), &mut Judgement::new());
    Ok(())
}

/// Resident memory of this process in bytes.
fn resident() -> Result<usize, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .ok_or("no VmRSS")?;
    let kib: usize = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
    Ok(kib << 10)
}
