//! The administration of streams: `strandline.v1.Admin`.

mod access;
mod archive;
mod archive_care;
mod archive_points;
mod by;
mod change;
mod describe;
mod gate;
mod plugins;
mod removal;
mod service;
mod settings;
mod update;

pub(super) use access::{Access, Caller};
pub(super) use gate::Gate;
pub(super) use service::AdminService;
