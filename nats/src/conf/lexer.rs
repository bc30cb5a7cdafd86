//! Characters and words of the format.

use std::path::PathBuf;
use std::sync::Arc;

use super::value::{ConfError, Place};

/// Walks over a text.
pub(super) struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    file: Arc<PathBuf>,
    line: usize,
    column: usize,
}

/// A word of a value: what it says, and whether it was in quotes and so stays as it is.
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str, file: Arc<PathBuf>) -> Self {
        Self {
            rest: text.chars().peekable(),
            file,
            line: 1,
            column: 1,
        }
    }

    pub(super) fn place(&self) -> Place {
        Place {
            file: Arc::clone(&self.file),
            line: self.line,
            column: self.column,
        }
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> ConfError {
        ConfError {
            place: self.place(),
            problem: problem.into(),
        }
    }

    pub(super) fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.rest.next()?;
        if next == '\n' {
            (self.line, self.column) = (self.line + 1, 1);
        } else {
            self.column += 1;
        }
        Some(next)
    }

    /// Goes over blanks, line ends, separators of entries, and comments.
    pub(super) fn skip_between(&mut self) -> Result<(), ConfError> {
        loop {
            match self.peek() {
                Some(c) if c.is_whitespace() || c == ',' || c == ';' => {
                    self.next();
                }
                Some('#') => self.skip_line(),
                Some('/') => self.skip_slashes()?,
                _ => return Ok(()),
            }
        }
    }

    /// Goes over blanks within a line, and over one sign between key and value.
    pub(super) fn skip_to_value(&mut self) {
        let mut signs = 0;
        while let Some(c) = self.peek() {
            let is_sign = (c == ':' || c == '=') && signs == 0;
            if !(c.is_whitespace() || is_sign) {
                return;
            }
            signs += usize::from(is_sign);
            self.next();
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|c| c != '\n') {
            self.next();
        }
    }

    fn skip_slashes(&mut self) -> Result<(), ConfError> {
        let error = self.error("a comment starts with # or //");
        self.next();
        if self.peek() != Some('/') {
            return Err(error);
        }
        self.skip_line();
        Ok(())
    }

    /// A key: quoted, or up to a blank or sign.
    pub(super) fn key(&mut self) -> Result<String, ConfError> {
        if let Some(quote @ ('"' | '\'')) = self.peek() {
            return self.quoted(quote);
        }
        let mut key = String::new();
        while let Some(c) = self
            .peek()
            .filter(|&c| !c.is_whitespace() && !matches!(c, ':' | '=' | '{' | '}' | '[' | ']'))
        {
            key.push(c);
            self.next();
        }
        if key.is_empty() {
            Err(self.error("a key is missing here"))
        } else {
            Ok(key)
        }
    }

    /// A value that is one word: quoted, a block of lines in parentheses, or up to the end of the entry.
    pub(super) fn word(&mut self) -> Result<Word, ConfError> {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => Ok(Word {
                text: self.quoted(quote)?,
                quoted: true,
            }),
            Some('(') => Ok(Word {
                text: self.lines()?,
                quoted: true,
            }),
            _ => {
                let text = self.bare();
                if text.is_empty() {
                    Err(self.error("a value is missing here"))
                } else {
                    Ok(Word { text, quoted: false })
                }
            }
        }
    }

    fn bare(&mut self) -> String {
        let mut text = String::new();
        while let Some(c) = self.peek() {
            let ends = matches!(c, ',' | ';' | ']' | '}' | '#') || c.is_whitespace();
            // A value may be a path; only two slashes are a comment.
            let comment = c == '/' && text.is_empty() && self.rest.clone().nth(1) == Some('/');
            if ends || comment {
                break;
            }
            text.push(c);
            self.next();
        }
        text
    }

    fn quoted(&mut self, quote: char) -> Result<String, ConfError> {
        let unclosed = self.error("a quoted text is not closed");
        self.next();
        let mut text = String::new();
        loop {
            match self.next().ok_or_else(|| unclosed.clone())? {
                c if c == quote => return Ok(text),
                '\\' if quote == '"' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Result<char, ConfError> {
        match self.next() {
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            Some('r') => Ok('\r'),
            Some(c @ ('"' | '\\')) => Ok(c),
            Some('x') => {
                let digits: String = (0..2).filter_map(|_| self.next()).collect();
                let byte =
                    u8::from_str_radix(&digits, 16).map_err(|_| self.error("\\x needs two hex digits"))?;
                Ok(char::from(byte))
            }
            _ => Err(self.error("unknown escape in a quoted text")),
        }
    }

    /// Lines between `(` and a line that is only `)`.
    fn lines(&mut self) -> Result<String, ConfError> {
        let unclosed = self.error("a block of lines is not closed by a line with )");
        self.next();
        let mut text = String::new();
        while let Some(c) = self.next() {
            if c == ')'
                && text
                    .rsplit('\n')
                    .next()
                    .is_some_and(|line| line.trim().is_empty())
            {
                let end = text.rfind('\n').unwrap_or(0);
                text.truncate(end);
                return Ok(text.strip_prefix('\n').unwrap_or(&text).to_owned());
            }
            text.push(c);
        }
        Err(unclosed)
    }
}
