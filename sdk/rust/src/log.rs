//! Messages for the operator, who reads them with `strandline plugin logs`. The host limits their rate and length.

use std::fmt;

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// Normal, and worth knowing.
    Info,
    /// Something is not as it should be, and the plugin copes.
    Warn,
    /// Something went wrong.
    Error,
}

/// Writes a message. The macros [`debug!`](crate::debug!), [`info!`](crate::info!), [`warn!`](crate::warn!) and
/// [`error!`](crate::error!) do so more briefly.
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    match message.as_str() {
        Some(text) => send(level, text),
        None => send(level, &message.to_string()),
    }
}

#[cfg(target_family = "wasm")]
use crate::guest::log as send;
#[cfg(not(target_family = "wasm"))]
use crate::testing::log as send;

/// Tells the plugin's author.
#[macro_export]
macro_rules! debug {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Debug, ::std::format_args!($($message)+)) };
}

/// Tells the operator what is normal, and worth knowing.
#[macro_export]
macro_rules! info {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Info, ::std::format_args!($($message)+)) };
}

/// Tells the operator what is not as it should be.
#[macro_export]
macro_rules! warn {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Warn, ::std::format_args!($($message)+)) };
}

/// Tells the operator what went wrong.
#[macro_export]
macro_rules! error {
    ($($message:tt)+) => { $crate::log::write($crate::log::Level::Error, ::std::format_args!($($message)+)) };
}
