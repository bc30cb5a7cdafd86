//! Tests of what only this backend has: files, marks and recovery.

mod changes;
mod check;
mod crash_points;
mod cuts;
mod damage;
mod faults;
mod repair;
mod support;
mod syncs;
