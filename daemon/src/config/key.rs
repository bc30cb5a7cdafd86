//! The definition of one setting.

use super::kind::Kind;

/// One setting: the only place that says what it is called, holds, does and defaults to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Its name, in dots.
    pub(crate) name: &'static str,
    /// What it may hold.
    pub(crate) kind: Kind,
    /// Its default as it could stand in a file; empty = not set.
    pub(crate) default: &'static str,
    /// What it does, one sentence without a full stop.
    pub(crate) help: &'static str,
    /// What is shown in place of a default that depends on something else.
    pub(crate) default_note: &'static str,
    /// Its flag, if it has one of its own.
    pub(crate) flag: Option<Flag>,
    /// Its name in Liftbridge's first file format where that differs.
    pub(crate) first_name: Option<&'static str>,
    /// Whether this version does what it asks for.
    pub(crate) effect: Effect,
    /// Whether its value is kept out of what is shown.
    pub(crate) secret: bool,
}

/// A flag of the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// Its long name.
    pub(crate) long: &'static str,
    /// Its letter.
    pub(crate) short: Option<char>,
    /// Further long names.
    pub(crate) aliases: &'static [&'static str],
}

/// Whether this version does what a setting asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It does.
    Built,
    /// It does not: only the values that ask for nothing are accepted.
    NotBuilt {
        /// The values that ask for nothing, as text.
        off: &'static [&'static str],
        /// What is missing, and what to do.
        reason: &'static str,
    },
    /// It tunes something that is not there, so that every value means the same; a start says so.
    Idle {
        /// What is not there.
        what: &'static str,
    },
}

impl Key {
    /// A setting with an effect, without a flag.
    pub(crate) const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default,
            help,
            default_note: "",
            flag: None,
            first_name: None,
            effect: Effect::Built,
            secret: false,
        }
    }

    /// With a flag.
    pub(crate) const fn flag(mut self, long: &'static str) -> Self {
        self.flag = Some(Flag {
            long,
            short: None,
            aliases: &[],
        });
        self
    }

    /// With a flag, its letter and its other names.
    pub(crate) const fn flags(
        mut self,
        long: &'static str,
        short: Option<char>,
        aliases: &'static [&'static str],
    ) -> Self {
        self.flag = Some(Flag { long, short, aliases });
        self
    }

    /// With another name in Liftbridge's first file format.
    pub(crate) const fn first_named(mut self, name: &'static str) -> Self {
        self.first_name = Some(name);
        self
    }

    /// With a default that the reference page describes.
    pub(crate) const fn default_note(mut self, note: &'static str) -> Self {
        self.default_note = note;
        self
    }

    /// Without an effect: refused unless it holds one of these values.
    pub(crate) const fn not_built(mut self, off: &'static [&'static str], reason: &'static str) -> Self {
        self.effect = Effect::NotBuilt { off, reason };
        self
    }

    /// Without anything to tune.
    pub(crate) const fn idle(mut self, what: &'static str) -> Self {
        self.effect = Effect::Idle { what };
        self
    }

    /// Not shown.
    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Its name in the environment, after the prefix.
    pub(crate) fn variable(&self) -> String {
        self.name.to_ascii_uppercase().replace('.', "_")
    }
}
