//! The HTTP port: numbers for a monitoring system, and answers for whoever decides about restarts and traffic.
//!
//! It reads and changes nothing. It is bound before anything else of a broker, so that a start that takes long can be
//! watched, and answers until the end of a stop.

mod answer;
mod health;
mod server;
mod site;

pub(crate) use server::{HttpServer, MAX_CONNECTIONS};
pub(crate) use site::Site;
