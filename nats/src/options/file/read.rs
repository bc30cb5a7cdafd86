//! Values of the kind that a key takes.

use std::time::Duration;

use super::{OptionsError, units};
use crate::conf::{Entry, Value};

/// One entry, to be read as what its key needs.
pub(super) struct Reader<'a>(pub(super) &'a Entry);

impl<'a> Reader<'a> {
    /// An error about this entry.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> OptionsError {
        OptionsError::Value {
            place: self.0.place.clone(),
            key: self.0.key.clone(),
            problem: problem.into(),
        }
    }

    fn needs(&self, what: &str) -> OptionsError {
        self.wrong(format!("must be {what}, not {}", self.0.value.kind()))
    }

    pub(super) fn text(&self) -> Result<String, OptionsError> {
        text_of(&self.0.value).ok_or_else(|| self.needs("text"))
    }

    pub(super) fn flag(&self) -> Result<bool, OptionsError> {
        match self.0.value {
            Value::Boolean(flag) => Ok(flag),
            _ => Err(self.needs("true or false")),
        }
    }

    pub(super) fn number(&self) -> Result<i64, OptionsError> {
        match self.0.value {
            Value::Integer(number) => Ok(number),
            _ => Err(self.needs("a number")),
        }
    }

    pub(super) fn port(&self) -> Result<u16, OptionsError> {
        match self.number()? {
            // nats-server's word for any free port.
            -1 => Ok(0),
            number => u16::try_from(number).map_err(|_| self.wrong("must be a port, 0 to 65535")),
        }
    }

    /// A number of bytes or things, above 0.
    pub(super) fn size(&self) -> Result<usize, OptionsError> {
        let number = usize::try_from(self.number()?)
            .ok()
            .filter(|&number| number > 0 && number <= i32::MAX as usize);
        number.ok_or_else(|| self.wrong("must be 1 to 2147483647"))
    }

    /// As [`Reader::size`], with 0 and -1 for no limit.
    pub(super) fn limit(&self) -> Result<Option<usize>, OptionsError> {
        if matches!(self.number()?, -1 | 0) {
            Ok(None)
        } else {
            self.size().map(Some)
        }
    }

    pub(super) fn count(&self) -> Result<u32, OptionsError> {
        u32::try_from(self.number()?).map_err(|_| self.wrong("must not be negative"))
    }

    /// A duration: text such as "2s", or a number of seconds.
    pub(super) fn duration(&self) -> Result<Duration, OptionsError> {
        let found = match &self.0.value {
            Value::Integer(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            Value::Float(seconds) => Duration::try_from_secs_f64(*seconds).ok(),
            Value::String(text) => units::duration(text),
            _ => None,
        };
        found.ok_or_else(|| self.wrong("must be a duration such as \"2s\" or \"1m30s\""))
    }

    pub(super) fn block(&self) -> Result<&'a [Entry], OptionsError> {
        match &self.0.value {
            Value::Map(entries) => Ok(entries),
            _ => Err(self.needs("a block")),
        }
    }

    pub(super) fn list(&self) -> Result<&'a [Value], OptionsError> {
        match &self.0.value {
            Value::Array(values) => Ok(values),
            _ => Err(self.needs("a list")),
        }
    }

    /// One text or a list of them.
    pub(super) fn texts(&self) -> Result<Vec<String>, OptionsError> {
        match &self.0.value {
            Value::Array(values) => {
                let texts: Option<Vec<_>> = values.iter().map(text_of).collect();
                texts.ok_or_else(|| self.wrong("must be a list of texts"))
            }
            _ => Ok(vec![self.text()?]),
        }
    }

    /// Blocks of a list, each as entries.
    pub(super) fn blocks(&self) -> Result<Vec<&'a [Entry]>, OptionsError> {
        let blocks = self.list()?.iter().map(|value| match value {
            Value::Map(entries) => Some(entries.as_slice()),
            _ => None,
        });
        blocks
            .collect::<Option<_>>()
            .ok_or_else(|| self.wrong("must be a list of blocks"))
    }
}

/// A word without quotes may look like a number and still be meant as text, such as a numeric password.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}
