//! Who a client is and what it may do.

mod authenticator;
mod distinguished_name;
mod mapping;
mod nkey;
mod permissions;

pub(crate) use authenticator::{Authenticator, Denied, Identity};
pub(crate) use permissions::Permissions;
pub use permissions::ResponseRule;
