//! Tests of what only this backend has: files, marks and recovery.
