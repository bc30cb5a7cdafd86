//! The cluster's state machine: what the metadata log's commands do to it.
