//! The author's loop: from nothing to a plugin that is tested, measured, and compared with what is attached.

mod answer;
mod bench;
mod build;
mod capture;
mod cases;
mod component;
mod figures;
mod language;
mod new;
mod origin;
mod project;
mod record;
mod replay;
mod sdk;
mod stored;
mod test;
mod toolchain;
mod tryout;

pub(super) use bench::{BenchArgs, run as bench};
pub(super) use build::{BuildArgs, run as build};
pub(super) use capture::{CasesArgs, run as capture};
pub(super) use new::{NewArgs, run as new};
pub(super) use replay::{ReplayArgs, run as replay};
pub(super) use test::{TestArgs, run as test};
