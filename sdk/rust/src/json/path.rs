//! Where a value stands in a JSON text.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A step towards a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To a field of an object.
    Field(Box<str>),
    /// To an element of an array, counted from 0.
    Index(usize),
}

/// Where a value stands in a JSON text: `$.user.tags[2]`, or `user.tags[2]`. A name with a dot or bracket in it is
/// written `$['a.b']`, the whole text `$`. In settings it is a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: Box<str>,
    steps: Box<[Step]>,
}

/// A text is no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathError {
    path: String,
    /// In bytes from its start.
    position: usize,
    problem: &'static str,
}

impl Path {
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        let mut rest = path.strip_prefix('$').unwrap_or(path);
        let mut steps = Vec::new();
        let relative = !path.starts_with('$');
        while !rest.is_empty() {
            let (step, after) = step(rest, relative && steps.is_empty()).map_err(|problem| PathError {
                path: path.to_owned(),
                position: path.len() - rest.len(),
                problem,
            })?;
            steps.push(step);
            rest = after;
        }
        if path.is_empty() {
            let problem = "it is empty: the whole text is $";
            return Err(PathError {
                path: String::new(),
                position: 0,
                problem,
            });
        }
        Ok(Self {
            text: path.into(),
            steps: steps.into(),
        })
    }
}

/// The first step of a path, and what follows it.
fn step(path: &str, first: bool) -> Result<(Step, &str), &'static str> {
    if let Some(inside) = path.strip_prefix('[') {
        return bracketed(inside);
    }
    let name = match path.strip_prefix('.') {
        Some(name) => name,
        None if first => path,
        None => return Err("a dot or a bracket is missing"),
    };
    let (name, rest) = name.split_at(name.find(['.', '[']).unwrap_or(name.len()));
    match name {
        "" => Err("a name is missing"),
        name if name.contains(']') => Err("a name with a bracket is written as in $['a]b']"),
        name => Ok((Step::Field(name.into()), rest)),
    }
}

/// A number, or a name in quotes, up to the bracket.
fn bracketed(inside: &str) -> Result<(Step, &str), &'static str> {
    for quote in ['\'', '"'] {
        if let Some(quoted) = inside.strip_prefix(quote) {
            let (name, rest) = quoted.split_once(quote).ok_or("the quote is not closed")?;
            let rest = rest.strip_prefix(']').ok_or("a closing bracket is missing")?;
            return Ok((Step::Field(name.into()), rest));
        }
    }
    let (number, rest) = inside.split_once(']').ok_or("a closing bracket is missing")?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    match number.parse() {
        Ok(index) if digits => Ok((Step::Index(index), rest)),
        _ => Err("between brackets stands a number from 0, or a name in quotes"),
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            position,
            problem,
        } = self;
        write!(f, "{path:?} is no path into JSON, at byte {position}: {problem}")
    }
}

impl std::error::Error for PathError {}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
