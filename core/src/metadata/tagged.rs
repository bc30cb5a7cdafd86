//! Values that say their format before anything else of them is read.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};

/// Writes the pair (format, value).
pub(super) fn serialize<T, S>(format: u16, value: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Serialize,
    S: Serializer,
{
    let mut pair = serializer.serialize_tuple(2)?;
    pair.serialize_element(&format)?;
    pair.serialize_element(value)?;
    pair.end()
}

/// Reads a pair (format, value) and refuses a format that is not `1..=newest` before it looks at the value.
pub(super) fn deserialize<'de, T, D>(what: &'static str, newest: u16, deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_tuple(
        2,
        Pair {
            what,
            newest,
            value: PhantomData,
        },
    )
}

struct Pair<T> {
    what: &'static str,
    newest: u16,
    value: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Pair<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with its format number", self.what)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<T, A::Error> {
        let format: u16 = pair
            .next_element()?
            .ok_or_else(|| A::Error::invalid_length(0, &self))?;
        if format == 0 || format > self.newest {
            return Err(A::Error::custom(format_args!(
                "{} has format {format}, this version reads 1 to {}: start the version that wrote it",
                self.what, self.newest
            )));
        }
        pair.next_element()?
            .ok_or_else(|| A::Error::invalid_length(1, &self))
    }
}
