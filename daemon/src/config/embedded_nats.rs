//! Options of the embedded NATS server.

use super::problem::Problems;
use super::values::Values;

pub(crate) fn options(_values: &Values, _problems: &mut Problems) -> strandline_nats::Options {
    strandline_nats::Options::default()
}
