//! Raw sockets and scenarios, shared by the suites.
#![allow(dead_code, reason = "each suite uses a part")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that speaks in bytes.
pub(crate) struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
    ended: bool,
}

impl Raw {
    /// Connects and reads nothing yet.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("the server listens"))
    }

    /// Speaks over a connection that is there already.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("socket option");
        Self {
            stream,
            unread: Vec::new(),
            ended: false,
        }
    }

    /// Connects and takes the greeting.
    pub(crate) fn greeted(address: SocketAddr) -> (Self, serde_json::Value) {
        let mut raw = Self::open(address);
        let info = raw.info();
        (raw, info)
    }

    /// Connects, and says CONNECT with neither `+OK`s nor checks.
    pub(crate) fn connected(address: SocketAddr) -> Self {
        let mut raw = Self::open(address);
        raw.introduce();
        raw
    }

    /// Takes the greeting, and says CONNECT with neither `+OK`s nor checks.
    pub(crate) fn introduce(&mut self) {
        self.info();
        self.send(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}\r\nPING\r\n");
        self.expect("PONG\r\n");
    }

    /// Sends; a server that closed meanwhile is noticed by what is expected next.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Reads an INFO line.
    pub(crate) fn info(&mut self) -> serde_json::Value {
        let line = self.line();
        let json = line
            .strip_prefix("INFO ")
            .unwrap_or_else(|| panic!("not an INFO: {line:?}"));
        serde_json::from_str(json.trim()).expect("INFO is JSON")
    }

    /// Reads exactly this text, `{any}` standing for anything within a line. INFO lines in between are skipped.
    pub(crate) fn expect(&mut self, pattern: &str) {
        for wanted in pattern.split_inclusive('\n') {
            let mut line = self.line();
            while line.starts_with("INFO ") && !wanted.starts_with("INFO ") {
                line = self.line();
            }
            assert!(fits(wanted, &line), "expected {wanted:?} but got {line:?}");
        }
    }

    /// Reads to the end of the connection; returns what still came.
    pub(crate) fn rest(&mut self) -> String {
        while self.fill() {}
        let rest = String::from_utf8_lossy(&self.unread).into_owned();
        self.unread.clear();
        rest
    }

    /// Waits for the server to close, after at most a few more `-ERR` lines.
    pub(crate) fn expect_closed(&mut self) {
        let rest = self.rest();
        assert!(
            rest.lines()
                .all(|line| line.starts_with("-ERR") || line.starts_with("INFO")),
            "before the end: {rest:?}"
        );
    }

    /// Whether the server has closed; keeps what came before.
    pub(crate) fn has_closed(&mut self) -> bool {
        while !self.ended && self.fill_within(Duration::from_millis(1)) {}
        self.ended
    }

    /// Reads that many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            assert!(
                self.fill(),
                "closed after {:?}",
                String::from_utf8_lossy(&self.unread)
            );
        }
        self.unread.drain(..count).collect()
    }

    pub(crate) fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.unread.drain(..=end).collect();
                return String::from_utf8_lossy(&line).into_owned();
            }
            assert!(
                self.fill(),
                "closed in the middle of {:?}",
                String::from_utf8_lossy(&self.unread)
            );
        }
    }

    /// Waits for more bytes; false at the end of the connection.
    fn fill(&mut self) -> bool {
        let came = self.fill_within(PATIENCE);
        assert!(
            came || self.ended,
            "nothing came; unread: {:?}",
            String::from_utf8_lossy(&self.unread)
        );
        came
    }

    /// Waits that long for more bytes; false when none came or the connection has ended.
    fn fill_within(&mut self, patience: Duration) -> bool {
        if self.ended {
            return false;
        }
        self.stream
            .set_read_timeout(Some(patience))
            .expect("socket option");
        let mut buffer = [0; 65536];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return false;
            }
            Err(_) => self.ended = true, // Reset: closed with our bytes unread.
        }
        !self.ended
    }

    /// The socket itself.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

fn fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split("{any}");
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Repeats until it holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One step of a scenario; the number names the client, which connects at its first step.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Send these bytes.
    Send(usize, String),
    /// Read exactly this.
    Expect(usize, String),
    /// The greeting has these fields; must be the client's first step.
    Info(usize, serde_json::Value),
    /// The server closes.
    Closed(usize),
    /// The client closes.
    Leave(usize),
    /// Let time pass.
    Wait(u64),
}

pub(crate) fn send(client: usize, bytes: impl Into<String>) -> Step {
    Step::Send(client, bytes.into())
}

pub(crate) fn expect(client: usize, pattern: impl Into<String>) -> Step {
    Step::Expect(client, pattern.into())
}

pub(crate) fn closed(client: usize) -> Step {
    Step::Closed(client)
}

/// Plays a scenario.
pub(crate) fn play(address: SocketAddr, steps: &[Step]) {
    let mut clients: std::collections::HashMap<usize, Raw> = std::collections::HashMap::new();
    for step in steps {
        match step {
            Step::Wait(millis) => std::thread::sleep(Duration::from_millis(*millis)),
            Step::Leave(client) => drop(clients.remove(client)),
            Step::Info(client, wanted) => {
                let (raw, info) = Raw::greeted(address);
                for (key, value) in wanted.as_object().expect("fields") {
                    assert_eq!(
                        info.get(key).unwrap_or(&serde_json::Value::Null),
                        value,
                        "{key} of {info}"
                    );
                }
                clients.insert(*client, raw);
            }
            Step::Send(client, bytes) => {
                clients
                    .entry(*client)
                    .or_insert_with(|| Raw::greeted(address).0)
                    .send(bytes.as_bytes());
            }
            Step::Expect(client, pattern) => {
                clients
                    .entry(*client)
                    .or_insert_with(|| Raw::open(address))
                    .expect(pattern);
            }
            Step::Closed(client) => {
                clients
                    .entry(*client)
                    .or_insert_with(|| Raw::greeted(address).0)
                    .expect_closed();
            }
        }
    }
}
