//! What a person sees once the broker runs.

use std::net::SocketAddr;
use std::path::Path;

use strandline_core::retention::RetentionLimits;

use crate::config::show_duration;

/// What there is to say.
#[derive(Clone, Debug)]
pub(super) struct Banner<'a> {
    /// How the program was called, so that what is to be typed next works.
    pub(super) program: &'a str,
    /// Where the gRPC API listens.
    pub(super) grpc: SocketAddr,
    /// What clients are told.
    pub(super) advertised: &'a str,
    /// Where NATS is.
    pub(super) nats: &'a str,
    /// Where numbers and health are answered over HTTP, if they are.
    pub(super) http: Option<&'a str>,
    /// Where state is.
    pub(super) data_dir: &'a Path,
    /// Streams that are served.
    pub(super) streams: usize,
    /// What streams keep that do not say otherwise.
    pub(super) kept: &'a str,
    /// Whether clients need certificates or keys, which the examples would have to name.
    pub(super) tls: bool,
    /// Whether it serves an archive, read-only.
    pub(super) is_mount: bool,
}

/// What limits of retention keep, in words.
pub(super) fn kept(limits: &RetentionLimits) -> String {
    let parts = [
        limits.max_age.map(show_duration),
        limits
            .max_bytes
            .map(|bytes| format!("{bytes} bytes per partition")),
        limits
            .max_records
            .map(|records| format!("{records} records per partition")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "everything is kept".to_owned()
    } else {
        format!("the last {}", parts.join(", at most "))
    }
}

impl Banner<'_> {
    /// The lines.
    pub(super) fn text(&self) -> String {
        let security = if self.tls { " (tls)" } else { "" };
        let mut text = format!(
            "strandline {} is running\n\n  grpc api  {}{security}, clients are told {}\n  nats      {}\n  http      {}\n  data      {}\n  streams   {}\n  retention {}, unless a stream says otherwise\n",
            env!("CARGO_PKG_VERSION"),
            self.grpc,
            self.advertised,
            self.nats,
            self.monitoring(),
            self.data_dir.display(),
            self.streams,
            self.kept,
        );
        text.push_str(&self.next());
        text
    }

    fn monitoring(&self) -> String {
        match self.http {
            Some(address) => format!("http://{address}/metrics, /healthz, /readyz"),
            None => "off, --http-listen 8292 serves /metrics, /healthz, /readyz".to_owned(),
        }
    }

    fn next(&self) -> String {
        let (program, servers) = (self.program, self.servers());
        if self.is_mount {
            return format!(
                "\nIt serves an archive, read-only. Type this in another terminal, or use any liftbridge client:\n\n  \
                 {program} stream list{servers}\n  \
                 {program} subscribe STREAM --from earliest --follow{servers}\n\n\
                 Stop with Ctrl-C.\n"
            );
        }
        format!(
            "\nType this in another terminal, or use any nats or liftbridge client:\n\n  \
             {program} stream create orders --subject 'orders.*'{servers}\n  \
             {program} publish orders 'hello, world'{servers}\n  \
             {program} subscribe orders --from earliest --follow{servers}\n\n\
             Stop with Ctrl-C.\n"
        )
    }

    /// The flag that the examples need to find this broker.
    fn servers(&self) -> String {
        let usual =
            self.grpc.port() == 9292 && (self.grpc.ip().is_unspecified() || self.grpc.ip().is_loopback());
        match (usual, self.tls) {
            (true, false) => String::new(),
            (_, false) => format!(" --servers {}", self.reachable()),
            (_, true) => format!(" --servers {} --tls-ca FILE", self.reachable()),
        }
    }

    fn reachable(&self) -> SocketAddr {
        let mut address = self.grpc;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner(grpc: &str, tls: bool) -> String {
        Banner {
            program: "target/release/strandline",
            grpc: grpc.parse().unwrap(),
            advertised: "localhost:9292",
            nats: "127.0.0.1:4222",
            http: Some("127.0.0.1:8292"),
            data_dir: Path::new("/d"),
            streams: 2,
            kept: "the last 168h",
            tls,
            is_mount: false,
        }
        .text()
    }

    #[test]
    fn addresses_the_data_directory_and_the_next_commands_are_shown() {
        let text = banner("0.0.0.0:9292", false);
        for part in [
            "0.0.0.0:9292",
            "127.0.0.1:4222",
            "http://127.0.0.1:8292/metrics",
            "/d",
            "retention the last 168h, unless a stream says otherwise\n",
            "target/release/strandline publish orders 'hello, world'\n",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn what_is_kept_is_said_in_words() {
        let mut limits = RetentionLimits::default();
        assert_eq!(kept(&limits), "everything is kept");
        limits.max_age = Some(std::time::Duration::from_secs(7 * 24 * 3600));
        assert_eq!(kept(&limits), "the last 168h");
        limits.max_bytes = Some(5);
        limits.max_records = Some(7);
        assert_eq!(
            kept(&limits),
            "the last 168h, at most 5 bytes per partition, at most 7 records per partition"
        );
    }

    #[test]
    fn commands_name_the_broker_where_it_is_not_where_they_look() {
        assert!(banner("0.0.0.0:9393", false).contains("--follow --servers 127.0.0.1:9393\n"));
        assert!(banner("10.0.0.1:9292", true).contains("--servers 10.0.0.1:9292 --tls-ca FILE"));
    }
}
