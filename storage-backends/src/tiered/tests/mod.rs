//! The archive as a whole, on stores that fail in every way and at every moment.

mod borrow;
mod cat;
mod compaction;
mod crash_points;
mod damage;
mod faults;
mod gaps;
mod objects;
mod pages;
mod points;
mod probe;
mod retention;
mod store;
mod support;
mod survey;
mod zombies;
