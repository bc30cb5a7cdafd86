//! Tests of what only this backend has: one file that all logs share.

mod check;
mod crash_points;
mod damage;
mod faults;
mod files;
mod queue;
mod repair;
mod support;
