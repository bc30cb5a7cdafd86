//! How fast the storage engines append, read and start here, beside what the machine does without them.
//!
//! ```text
//! cargo run --release -p strandline-storage-backends --example engines -- [directory] [MiB] [engine]
//! ```
//!
//! Both engines do the same in one run, on the disk of the directory. What is read was written just before, so that it comes
//! from the page cache where that is large enough. A crash is a process of its own that ends without closing anything.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that fails should fail loudly"
)]

mod bare;
mod records;
mod work;

use std::path::{Path, PathBuf};

use strandline_core::storage::Factory;
use strandline_storage_backends::{RedbFactory, SegmentFactory};

use work::{Figures, Work};

/// That of the broker. The system's gives large buffers back at once, and pays for them anew.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// First argument of the process that is to crash.
const CRASH: &str = "crash";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [CRASH, name, directory, mib] = arguments[..] {
        let work = Work::new(Path::new(directory), mib.parse().unwrap());
        work.append_and_crash(factory(name).as_ref(), Path::new(directory));
    }
    let directory = arguments.first().map_or(Path::new("."), Path::new);
    let mib = arguments.get(1).map_or(512, |text| text.parse().unwrap());
    let temporary = tempfile::tempdir_in(directory).unwrap();
    let work = Work::new(temporary.path(), mib);
    println!("{mib} MiB each");
    let bare = work.bare();
    print(&bare, None);
    for name in ["segment", "redb"] {
        if arguments.get(2).is_none_or(|only| *only == name) {
            print(&work.measure(factory(name).as_ref()), Some(&bare));
        }
    }
}

fn factory(name: &str) -> Box<dyn Factory> {
    match name {
        "redb" => Box::new(RedbFactory::new()),
        _ => Box::new(SegmentFactory::new()),
    }
}

fn print(figures: &Figures, bare: Option<&Figures>) {
    println!("\n{}", figures.name);
    for figure in &figures.all {
        let same = bare.and_then(|bare| bare.all.iter().find(|other| other.what == figure.what));
        let share = same.map_or_else(String::new, |same| {
            format!("  {:.0} % of bare", 100.0 * figure.value / same.value)
        });
        println!(
            "  {:<44} {:>10.1} {}{share}",
            figure.what, figure.value, figure.unit
        );
    }
}

/// Bytes that files below a directory take on the disk.
fn used_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;

    let entries = std::fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => used_bytes(&entry.path()),
            false => entry.metadata().unwrap().blocks() * 512,
        })
        .sum()
}

/// Bytes that this process had the disk write.
fn written_bytes() -> u64 {
    let counters = std::fs::read_to_string(PathBuf::from("/proc/self/io")).unwrap();
    let written = counters
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    written.unwrap().parse().unwrap()
}
