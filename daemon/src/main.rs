//! The binary `strandline`.

mod config;

fn main() {}
