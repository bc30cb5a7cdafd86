//! What takes more than a scenario to show: spread, order, slow readers, lame duck, local subscribers, TLS by hand.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test"
)]

mod support;

use std::any::Any;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use strandline_nats::{Flush, LocalBatch, LocalSink, Message, Options, Server, StartError, SubscribeError};
use support::{Raw, eventually};
use tokio::sync::mpsc;

fn local() -> Options {
    Options {
        host: "127.0.0.1".to_owned(),
        port: 0,
        ..Options::default()
    }
}

async fn start(options: Options) -> (Server, SocketAddr) {
    let server = Server::start(options).await.expect("starts");
    let address = server.client_addr();
    (server, address)
}

/// Raw sockets block: they run beside the runtime's threads.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the work succeeds")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let (server, address) = start(local()).await;
    let error = Server::start(Options {
        port: address.port(),
        ..local()
    })
    .await
    .expect_err("taken");
    assert!(matches!(error, StartError::Listen { .. }));
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queue_members_share_evenly() {
    let (server, address) = start(local()).await;
    beside(move || {
        let mut client = Raw::connected(address);
        client.send(b"SUB foo q 1\r\nSUB foo q 2\r\nSUB foo r 3\r\nSUB foo r 4\r\n");
        client.send("PUB foo 2\r\nok\r\n".repeat(100).as_bytes());
        let mut counts = [0; 5];
        for _ in 0..200 {
            let line = client.line();
            let sid: usize = line
                .split(' ')
                .nth(2)
                .and_then(|sid| sid.parse().ok())
                .expect("a MSG");
            counts[sid] += 1;
            client.expect("ok\r\n");
        }
        assert_eq!((counts[1] + counts[2], counts[3] + counts[4]), (100, 100));
        // A fair choice misses 25 once in some ten million runs.
        assert!(counts[1..].iter().all(|count| *count >= 25), "{counts:?}");
        client.send(b"PING\r\n");
        client.expect("PONG\r\n");
    })
    .await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_under_high_fan_out() {
    const SUBSCRIBERS: usize = 100;
    const MESSAGES: usize = 2000;
    let (server, address) = start(local()).await;
    beside(move || {
        let readers: Vec<_> = (0..SUBSCRIBERS)
            .map(|_| {
                let mut client = Raw::connected(address);
                client.send(b"SUB foo 1\r\nPING\r\n");
                client.expect("PONG\r\n");
                std::thread::spawn(move || {
                    for number in 0..MESSAGES {
                        let text = number.to_string();
                        client.expect(&format!("MSG foo 1 {}\r\n{text}\r\n", text.len()));
                    }
                })
            })
            .collect();
        let mut publisher = Raw::connected(address);
        for number in 0..MESSAGES {
            let text = number.to_string();
            publisher.send(format!("PUB foo {}\r\n{text}\r\n", text.len()).as_bytes());
        }
        readers
            .into_iter()
            .for_each(|reader| reader.join().expect("in order"));
    })
    .await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn payloads_around_buffer_edges_arrive_whole() {
    let (server, address) = start(local()).await;
    beside(move || {
        let mut client = Raw::connected(address);
        client.send(b"SUB foo 1\r\n");
        for size in [
            0, 1, 4095, 8191, 8192, 65_500, 65_520, 65_535, 65_536, 65_537, 200_000, 1_048_576,
        ] {
            let payload: Vec<u8> = (0..size)
                .map(|at| u8::try_from(at % 251).expect("small"))
                .collect();
            let whole = [format!("PUB foo {size}\r\n").as_bytes(), &payload, b"\r\n"].concat();
            for piece in whole.chunks(7001) {
                client.send(piece);
            }
            client.expect(&format!("MSG foo 1 {size}\r\n"));
            assert!(client.bytes(size) == payload, "{size}");
            client.expect("\r\n");
        }
    })
    .await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_falls_too_far_behind_is_cut_and_others_are_not() {
    let (server, address) = start(Options {
        max_pending: 1 << 20,
        ..local()
    })
    .await;
    beside(move || {
        let mut slow = Raw::connected(address);
        slow.send(b"SUB foo 1\r\nPING\r\n");
        slow.expect("PONG\r\n");
        let mut publisher = Raw::connected(address);
        let message = [b"PUB foo 65536\r\n".as_slice(), &[b'x'; 65536], b"\r\n"].concat();
        // More than the limit and any socket's buffers hold.
        for _ in 0..400 {
            publisher.send(&message);
        }
        publisher.send(b"PING\r\n");
        publisher.expect("PONG\r\n");
        let rest = slow.rest();
        assert!(!rest.contains("-ERR"), "a slow consumer is cut without a word");
    })
    .await;
    eventually("the slow consumer is counted", || {
        server.stats().slow_consumers == 1
    });
    eventually("and forgotten", || server.stats().subscriptions == 0);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_for_the_write_deadline_is_cut() {
    let (server, address) = start(Options {
        write_deadline: Duration::from_millis(200),
        ..local()
    })
    .await;
    let publisher = beside(move || {
        let mut stuck = Raw::connected(address);
        stuck.send(b"SUB foo 1\r\nPING\r\n");
        stuck.expect("PONG\r\n");
        let mut publisher = Raw::connected(address);
        let message = [b"PUB foo 65536\r\n".as_slice(), &[b'x'; 65536], b"\r\n"].concat();
        for _ in 0..400 {
            publisher.send(&message);
        }
        (publisher, stuck)
    })
    .await;
    eventually("the stuck consumer is counted", || {
        server.stats().slow_consumers == 1
    });
    drop(publisher);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_payload_limit_is_announced_to_those_who_understand() {
    let (server, address) = start(local()).await;
    let server_too = server.clone();
    beside(move || {
        let (mut modern, info) = Raw::greeted(address);
        assert_eq!(info["max_payload"], 1_048_576);
        modern.send(b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
        modern.expect("PONG\r\n");
        assert_eq!(modern.info()["connect_info"], true);
        let mut old = Raw::connected(address);
        server_too.set_max_payload(100);
        assert_eq!(modern.info()["max_payload"], 100);
        old.send(b"PING\r\n");
        assert_eq!(old.line(), "PONG\r\n");
        modern.send(b"PING\r\n");
        modern.expect("PONG\r\n");
        modern.send(b"PUB foo 101\r\n");
        modern.expect("-ERR 'Maximum Payload Violation'\r\n");
        modern.expect_closed();
    })
    .await;
    server.shutdown().await;
}

/// A client that comes from a loopback address of its own.
async fn connected_from(source: [u8; 4], address: SocketAddr) -> Raw {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind((source, 0).into()).expect("a loopback address");
    let stream = socket.connect(address).await.expect("the server listens");
    let stream = stream.into_std().expect("a plain socket");
    stream.set_nonblocking(false).expect("socket option");
    beside(move || {
        let mut client = Raw::over(stream);
        client.introduce();
        client
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_payloads_of_one_address_leave_room_for_those_of_others() {
    const SIZE: usize = 64 << 20; // Four fit in all, two of one address.
    let (server, address) = start(Options {
        max_payload: SIZE,
        ..local()
    })
    .await;
    let (hoarder, other) = ([127, 0, 0, 2], [127, 0, 0, 3]);
    let mut hoarders = Vec::new();
    for _ in 0..4 {
        let mut client = connected_from(hoarder, address).await;
        client.send(format!("PUB hoarded {SIZE}\r\nbeginning").as_bytes());
        hoarders.push(client);
    }
    let mut served = connected_from(other, address).await;
    beside(move || {
        let message = [
            format!("PUB whole {SIZE}\r\n").as_bytes(),
            &vec![b'x'; SIZE],
            b"\r\nPING\r\n",
        ]
        .concat();
        served.send(&message);
        served.expect("PONG\r\n");
        // The first two that are read have their room and are not hurried; the others wait for it and give up.
        eventually("the two without room are closed", || {
            hoarders.retain_mut(|client| !client.has_closed());
            hoarders.len() <= 2
        });
        assert_eq!(hoarders.len(), 2);
        for client in &mut hoarders {
            client.send(&message[format!("PUB whole {SIZE}\r\nbeginning").len()..]);
            while client.line() != "PONG\r\n" {} // The server has a PING of its own.
        }
    })
    .await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lame_duck_tells_its_clients_and_closes_them() {
    let options = Options {
        lame_duck_duration: Duration::from_millis(300),
        lame_duck_grace_period: Duration::from_millis(100),
        ..local()
    };
    let (server, address) = start(options).await;
    let mut clients = beside(move || {
        let mut clients: Vec<Raw> = Vec::new();
        for _ in 0..3 {
            let (mut client, info) = Raw::greeted(address);
            assert_eq!(info["connect_urls"][0], address.to_string());
            client.send(b"CONNECT {\"verbose\":false,\"protocol\":1}\r\nPING\r\n");
            client.expect("PONG\r\n");
            client.info();
            clients.push(client);
        }
        clients
    })
    .await;
    let leaving = tokio::spawn({
        let server = server.clone();
        async move { server.lame_duck().await }
    });
    beside(move || {
        for client in &mut clients {
            let info = client.info();
            assert_eq!(
                (&info["ldm"], &info["connect_urls"]),
                (&true.into(), &serde_json::Value::Null)
            );
        }
        eventually("nobody new is accepted", || TcpStream::connect(address).is_err());
        clients.iter_mut().for_each(Raw::expect_closed);
    })
    .await;
    server.lame_duck().await;
    leaving.await.expect("it left");
    assert_eq!(server.stats().connections, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_writes_what_is_queued_and_can_be_repeated() {
    let (server, address) = start(local()).await;
    let mut client = beside(move || {
        let mut client = Raw::connected(address);
        client.send(b"SUB foo 1\r\nPING\r\n");
        client.expect("PONG\r\n");
        client
    })
    .await;
    let mut publisher = server.publisher();
    let message = Message {
        subject: b"foo",
        reply: None,
        headers: b"",
        payload: b"last",
    };
    assert_eq!(publisher.publish(&message), 1);
    assert!(matches!(publisher.flush(), Flush::Done));
    tokio::join!(server.shutdown(), server.shutdown());
    beside(move || {
        client.expect("MSG foo 1 4\r\nlast\r\n");
        client.expect_closed();
    })
    .await;
}

/// Hands messages over in batches, through a channel that may be full.
#[derive(Debug)]
struct Collecting {
    sender: mpsc::Sender<Vec<String>>,
    opened: AtomicUsize,
}

struct Batch {
    sender: mpsc::Sender<Vec<String>>,
    messages: Vec<String>,
}

impl LocalSink for Collecting {
    fn open(&self) -> Box<dyn LocalBatch> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Box::new(Batch {
            sender: self.sender.clone(),
            messages: Vec::new(),
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl LocalBatch for Batch {
    fn push(&mut self, message: &Message<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let reply = message.reply.map(text).unwrap_or_default();
        self.messages.push(
            [
                text(message.subject),
                reply,
                text(message.headers),
                text(message.payload),
            ]
            .join("|"),
        );
    }

    fn flush(&mut self) -> Flush {
        let batch = std::mem::take(&mut self.messages);
        match self.sender.try_send(batch) {
            Ok(()) => Flush::Done,
            Err(mpsc::error::TrySendError::Full(batch)) => {
                let sender = self.sender.clone();
                Flush::Wait(Box::pin(async move { drop(sender.send(batch).await) }))
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Flush::Done,
        }
    }
}

fn collecting(capacity: usize) -> (Arc<Collecting>, mpsc::Receiver<Vec<String>>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (
        Arc::new(Collecting {
            sender,
            opened: AtomicUsize::new(0),
        }),
        receiver,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_subscriber_gets_what_clients_publish_in_batches() {
    let (server, address) = start(local()).await;
    let (sink, mut received) = collecting(10);
    let subscription = server
        .subscribe("orders.>", None, Arc::clone(&sink) as Arc<dyn LocalSink>)
        .expect("valid");
    let client = beside(move || {
        let mut client = Raw::connected(address);
        client.send(b"PUB orders.1 in 1\r\na\r\nHPUB orders.2 12 13\r\nNATS/1.0\r\n\r\nb\r\nPUB other 0\r\n\r\nPING\r\n");
        client.expect("PONG\r\n");
        client
    })
    .await;
    let batch = received.recv().await.expect("a batch");
    assert_eq!(
        batch,
        ["orders.1|in||a", "orders.2||NATS/1.0\r\n\r\n|b"],
        "one read, one batch"
    );
    assert_eq!(
        sink.opened.load(Ordering::Relaxed),
        1,
        "opened once for the connection"
    );
    drop(subscription);
    assert_eq!(server.stats().subscriptions, 0);
    let mut client = client;
    beside(move || {
        client.send(b"SUB r 1\r\nPUB orders.1 r 0\r\n\r\nPING\r\n");
        client.expect("HMSG r 1 {any}\r\nNATS/1.0 503\r\n{any}\r\n\r\n\r\nPONG\r\n");
    })
    .await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_local_subscriber_holds_the_publisher_back_and_loses_nothing() {
    const MESSAGES: usize = 20_000;
    let (server, address) = start(local()).await;
    let (sink, mut received) = collecting(1);
    let _subscription = server.subscribe("a", None, sink).expect("valid");
    let done = Arc::new(AtomicBool::new(false));
    let done_too = Arc::clone(&done);
    let publishing = tokio::task::spawn_blocking(move || {
        let mut client = Raw::connected(address);
        for number in 0..MESSAGES {
            let text = number.to_string();
            client.send(format!("PUB a {}\r\n{text}\r\n", text.len()).as_bytes());
        }
        client.send(b"PING\r\n");
        client.expect("PONG\r\n");
        done_too.store(true, Ordering::Release);
    });
    let mut next = 0;
    while next < MESSAGES {
        for message in received.recv().await.expect("a batch") {
            assert_eq!(message, format!("a|||{next}"));
            next += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    publishing.await.expect("published");
    assert!(done.load(Ordering::Acquire));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_and_network_members_share_a_queue() {
    let (server, address) = start(local()).await;
    let (sink, mut received) = collecting(1000);
    let _subscription = server.subscribe("work", Some("q"), sink).expect("valid");
    let from_network = beside(move || {
        let mut member = Raw::connected(address);
        member.send(b"SUB work q 1\r\nPING\r\n");
        member.expect("PONG\r\n");
        let mut publisher = Raw::connected(address);
        publisher.send("PUB work 1\r\nx\r\n".repeat(200).as_bytes());
        publisher.send(b"PING\r\n");
        publisher.expect("PONG\r\n");
        member.send(b"PING\r\n");
        let mut count = 0;
        while member.line() != "PONG\r\n" {
            count += 1;
        }
        count / 2
    })
    .await;
    let mut from_local = 0;
    while let Ok(batch) = received.try_recv() {
        from_local += batch.len();
    }
    assert_eq!(from_network + from_local, 200);
    assert!(
        from_network >= 50 && from_local >= 50,
        "{from_network} and {from_local}"
    );
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_publisher_reaches_clients_and_sinks_and_knows_routes() {
    let (server, address) = start(local()).await;
    let mut publisher = server.publisher();
    let (sink, mut received) = collecting(10);
    assert_eq!(publisher.route("foo").static_local().map(<[_]>::len), Some(0));
    let _subscription = server
        .subscribe("foo", None, Arc::clone(&sink) as Arc<dyn LocalSink>)
        .expect("valid");
    let route = publisher.route("foo");
    let sinks = route.static_local().expect("only a sink");
    assert!(sinks.len() == 1 && sinks[0].as_any().downcast_ref::<Collecting>().is_some());
    let mut client = beside(move || {
        let mut client = Raw::connected(address);
        client.send(b"SUB * 1\r\nPING\r\n");
        client.expect("PONG\r\n");
        client
    })
    .await;
    assert!(
        publisher.route("foo").static_local().is_none(),
        "a client listens too"
    );
    let message = Message {
        subject: b"foo",
        reply: Some(b"r"),
        headers: b"",
        payload: b"x",
    };
    assert_eq!(publisher.publish(&message), 2);
    assert_eq!(
        publisher.publish(&Message {
            subject: b"$SYS.free.for.us",
            ..message
        }),
        0
    );
    assert!(matches!(publisher.flush(), Flush::Done));
    assert_eq!(received.recv().await.expect("a batch"), ["foo|r||x"]);
    beside(move || client.expect("MSG foo 1 r 1\r\nx\r\n")).await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_local_filters_are_refused() {
    let (server, _) = start(local()).await;
    for filter in ["", "a..b", "a.>.b", "a b"] {
        let (sink, _received) = collecting(1);
        let error = server.subscribe(filter, None, sink).expect_err("invalid");
        assert_eq!(
            error,
            SubscribeError::InvalidSubject {
                subject: filter.to_owned()
            }
        );
    }
    let (sink, _received) = collecting(1);
    assert!(matches!(
        server.subscribe("a", Some(""), sink),
        Err(SubscribeError::InvalidQueue { .. })
    ));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_at_any_moment_leaves_nothing_behind() {
    let (server, address) = start(local()).await;
    beside(move || {
        let whole = b"CONNECT {\"verbose\":false}\r\nSUB foo 1\r\nPUB foo 3\r\nabc\r\nPING\r\n";
        for cut in 0..whole.len() {
            let mut stream = TcpStream::connect(address).expect("accepted");
            stream.write_all(&whole[..cut]).expect("sent");
        }
    })
    .await;
    eventually("everybody is forgotten", || {
        server.stats().connections == 0 && server.stats().subscriptions == 0
    });
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_ends_one_connection_and_no_other() {
    let (server, address) = start(local()).await;
    beside(move || {
        let mut healthy = Raw::connected(address);
        let mut state = 1_u64;
        for _ in 0..200 {
            let mut stream = TcpStream::connect(address).expect("accepted");
            let garbage: Vec<u8> = (0..500)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    state.to_be_bytes()[0]
                })
                .collect();
            let _ = stream.write_all(&garbage);
            stream.shutdown(std::net::Shutdown::Write).ok();
            let _ = stream.read_to_end(&mut Vec::new());
        }
        healthy.send(b"PING\r\n");
        healthy.expect("PONG\r\n");
    })
    .await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_round_trip_does_not_wait_for_anything() {
    let (server, address) = start(local()).await;
    beside(move || {
        let mut service = Raw::connected(address);
        service.send(b"SUB svc 1\r\nPING\r\n");
        service.expect("PONG\r\n");
        let mut requester = Raw::connected(address);
        requester.send(b"SUB inbox.* 1\r\n");
        let begun = Instant::now();
        for number in 0..500 {
            requester.send(format!("PUB svc inbox.{number} 1\r\nq\r\n").as_bytes());
            service.expect(&format!("MSG svc 1 inbox.{number} 1\r\nq\r\n"));
            service.send(format!("PUB inbox.{number} 1\r\na\r\n").as_bytes());
            requester.expect(&format!("MSG inbox.{number} 1 1\r\na\r\n"));
        }
        println!("500 round trips took {:?}", begun.elapsed());
    })
    .await;
    server.shutdown().await;
}
