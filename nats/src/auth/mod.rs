//! Who a client is and what it may do.

mod authenticator;
mod mapping;
mod nkey;
mod permissions;

pub(crate) use authenticator::{Authenticator, Denied, Identity};
pub use permissions::ResponseRule;
pub(crate) use permissions::Permissions;
