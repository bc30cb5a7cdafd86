//! What asking a plugin costs on this machine.

use std::time::{Duration, Instant};

use crate::attachment::Attachment;
use crate::inspect::World;
use crate::judgement::Judgement;
use crate::keys::Keys;
use crate::packer::Packer;

/// Of so many runs the best one counts: what is slower is somebody else's doing.
const RUNS: usize = 5;

/// Nanoseconds a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Of packing a batch.
    pub packing: f64,
    /// Of packing it and asking about it.
    pub whole: f64,
}

impl Cost {
    /// Of asking alone.
    pub fn asking(&self) -> f64 {
        (self.whole - self.packing).max(0.0)
    }
}

/// Asks about the same batch over and over, in each of five runs for `run`. Blocks for ten times that.
pub fn measure(attachment: &Attachment, run: Duration, pack: impl Fn(&mut Packer)) -> Cost {
    let mut packer = Packer::new();
    pack(&mut packer);
    let records = packer.len();
    let packing = best_of(records, run, || pack(&mut packer));
    let (mut judgement, mut keys) = (Judgement::new(), Keys::new());
    let whole = best_of(records, run, || {
        pack(&mut packer);
        match attachment.module().info().world {
            World::Filter => attachment.judge(packer.batch(), &mut judgement),
            World::KeyExtractor => attachment.extract(packer.batch(), &mut keys),
        }
    });
    Cost { packing, whole }
}

/// Nanoseconds a record of something that is done to so many records at once, in the best of five runs.
pub fn best_of(records: usize, run: Duration, mut batch: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        let mut batches = 0;
        while batches == 0 || start.elapsed() < run {
            batch();
            batches += 1;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(batches) / records.max(1) as f64);
    }
    best
}
