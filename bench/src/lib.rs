//! The benchmark behind `strandline bench`.
//!
//! [`run`] does each [`Work`] on a broker of its own, and on the peers that [`Options`] names, one after another, and
//! measures beside them what the machine could do without any of them ([`Limits`]). The load comes from this process: its
//! clients work on whole DATA frames and read buffers, so that they cost a fraction of what they load, and their CPU
//! time stands beside the server's.

mod archive;
mod error;
mod figures;
mod filter;
mod grpc;
mod limits;
mod message;
mod nats;
mod options;
mod publisher;
mod report;
mod run;
mod subscriber;
mod system;
mod warm;
mod work;

pub use archive::{ArchiveOptions, ArchiveWork, Store};
pub use error::BenchError;
pub use figures::Latency;
pub use filter::Filter;
pub use limits::{DiskLimit, Limits};
pub use options::{Options, Peer, Target};
pub use report::{ArchiveRow, Beside, Bound, Report, Row, Unit};
pub use run::run;
pub use work::{Part, Work};
