//! A real client library, unmodified, against the server.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test"
)]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, HeaderMap, RequestErrorKind};
use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use strandline_nats::{
    Authorization, HandshakeFirst, NkeyUser, OnlyUser, Options, PermissionRules, Secret, Server,
    SubjectRules, TlsOptions, User,
};

const PATIENCE: Duration = Duration::from_secs(10);

fn local() -> Options {
    Options {
        host: "127.0.0.1".to_owned(),
        port: 0,
        ..Options::default()
    }
}

async fn start(options: Options) -> (Server, String) {
    let server = Server::start(options).await.expect("starts");
    let url = format!("nats://localhost:{}", server.client_addr().port());
    (server, url)
}

async fn connect(url: &str) -> Client {
    async_nats::connect(url).await.expect("connects")
}

/// A subscription is in force once a message to oneself has come round.
async fn settle(client: &Client) {
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.expect("subscribes");
    client.publish(inbox, Bytes::new()).await.expect("publishes");
    next(&mut answers).await;
}

async fn next(subscriber: &mut async_nats::Subscriber) -> async_nats::Message {
    use futures_core::Stream;
    let message = std::future::poll_fn(|context| std::pin::Pin::new(&mut *subscriber).poll_next(context));
    tokio::time::timeout(PATIENCE, message)
        .await
        .expect("in time")
        .expect("a message")
}

#[tokio::test(flavor = "multi_thread")]
async fn publish_subscribe_with_headers_and_queue() {
    let (server, url) = start(local()).await;
    let (one, two) = (connect(&url).await, connect(&url).await);
    let mut plain = one.subscribe("a.*").await.expect("subscribes");
    let mut queued = one
        .queue_subscribe("a.>", "q".to_owned())
        .await
        .expect("subscribes");
    settle(&one).await;
    let mut headers = HeaderMap::new();
    headers.insert("Kind", "test");
    two.publish_with_headers("a.b", headers, "hello".into())
        .await
        .expect("publishes");
    for subscriber in [&mut plain, &mut queued] {
        let message = next(subscriber).await;
        assert_eq!(
            (message.subject.as_str(), &message.payload[..]),
            ("a.b", &b"hello"[..])
        );
        assert_eq!(
            message
                .headers
                .expect("headers")
                .get("Kind")
                .expect("kind")
                .as_str(),
            "test"
        );
    }
    assert!(one.server_info().headers && one.server_info().version.starts_with("2.10."));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_or_refused_at_once() {
    let (server, url) = start(local()).await;
    let (service, requester) = (connect(&url).await, connect(&url).await);
    let mut requests = service.subscribe("svc").await.expect("subscribes");
    settle(&service).await;
    tokio::spawn(async move {
        loop {
            let request = next(&mut requests).await;
            service
                .publish(request.reply.expect("a reply subject"), request.payload)
                .await
                .expect("publishes");
        }
    });
    for number in 0..100 {
        let answer = requester
            .request("svc", number.to_string().into())
            .await
            .expect("an answer");
        assert_eq!(answer.payload, number.to_string());
    }
    let error = requester
        .request("nobody", "x".into())
        .await
        .expect_err("nobody there");
    assert_eq!(error.kind(), RequestErrorKind::NoResponders);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_delivers_what_was_published_before() {
    let (server, url) = start(local()).await;
    let (receiver, sender) = (connect(&url).await, connect(&url).await);
    let mut messages = receiver.subscribe("a").await.expect("subscribes");
    settle(&receiver).await;
    for number in 0..1000_u32 {
        sender
            .publish("a", number.to_string().into())
            .await
            .expect("publishes");
    }
    settle(&sender).await;
    receiver.drain().await.expect("drains");
    for number in 0..1000_u32 {
        assert_eq!(next(&mut messages).await.payload, number.to_string());
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_passwords_and_tokens_open_the_door_and_nothing_else_does() {
    let pair = nkeys::KeyPair::new_user();
    let user = |name: &str, password: &str| User {
        name: name.to_owned(),
        password: Secret::new(password),
        permissions: None,
    };
    let users = vec![
        user("plain", "secret"),
        user("hashed", &bcrypt::hash("secret", 4).expect("hash")),
    ];
    let nkeys = vec![NkeyUser {
        nkey: pair.public_key(),
        permissions: None,
    }];
    let authorization = Authorization {
        users,
        nkeys,
        ..Authorization::default()
    };
    let (server, url) = start(Options {
        authorization,
        ..local()
    })
    .await;
    let with =
        |name: &str, password: &str| ConnectOptions::with_user_and_password(name.into(), password.into());
    for good in [
        with("plain", "secret"),
        with("hashed", "secret"),
        ConnectOptions::with_nkey(pair.seed().expect("seed")),
    ] {
        settle(&good.connect(&url).await.expect("connects")).await;
    }
    let stranger = nkeys::KeyPair::new_user().seed().expect("seed");
    for bad in [
        with("plain", "wrong"),
        with("hashed", "wrong"),
        ConnectOptions::new(),
        ConnectOptions::with_nkey(stranger),
    ] {
        assert!(bad.connect(&url).await.is_err());
    }
    assert_eq!(server.stats().refused_credentials, 4);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_subject_is_reported_and_the_connection_lives() {
    let publish = SubjectRules {
        allow: None,
        deny: vec!["secret".to_owned()],
    };
    let permissions = PermissionRules {
        publish,
        ..PermissionRules::default()
    };
    let users = vec![User {
        name: "u".to_owned(),
        password: Secret::new("p"),
        permissions: Some(permissions),
    }];
    let authorization = Authorization {
        users,
        ..Authorization::default()
    };
    let (server, url) = start(Options {
        authorization,
        ..local()
    })
    .await;
    let (reports, mut reported) = tokio::sync::mpsc::channel(10);
    let options =
        ConnectOptions::with_user_and_password("u".into(), "p".into()).event_callback(move |event| {
            let reports = reports.clone();
            async move { drop(reports.send(event.to_string()).await) }
        });
    let client = options.connect(&url).await.expect("connects");
    client.publish("secret", "x".into()).await.expect("queued");
    settle(&client).await;
    loop {
        let event = tokio::time::timeout(PATIENCE, reported.recv())
            .await
            .expect("in time")
            .expect("an event");
        if event
            .to_lowercase()
            .contains("permissions violation for publish to \"secret\"")
        {
            break;
        }
    }
    server.shutdown().await;
}

/// An authority, a certificate for this host, and one for a client.
struct Certificates {
    directory: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("key")).expect("signed");
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).expect("written");
        for (file, name) in [("server", "localhost"), ("client", "client.example")] {
            let key = KeyPair::generate().expect("key");
            let parameters = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
            let certificate = parameters.signed_by(&key, &issuer).expect("signed");
            std::fs::write(directory.path().join(format!("{file}.pem")), certificate.pem()).expect("written");
            std::fs::write(directory.path().join(format!("{file}.key")), key.serialize_pem())
                .expect("written");
        }
        Self { directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(self.directory.path()).join(name)
    }

    fn server(&self) -> TlsOptions {
        TlsOptions::new(self.file("server.pem"), self.file("server.key"))
    }

    fn client(&self) -> ConnectOptions {
        ConnectOptions::new().add_root_certificates(self.file("ca.pem"))
    }
}

async fn with_tls(tls: TlsOptions) -> (Server, String) {
    start(Options {
        tls: Some(tls),
        ..local()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_after_the_greeting() {
    let certificates = Certificates::new();
    let (server, url) = with_tls(certificates.server()).await;
    let client = certificates.client().connect(&url).await.expect("connects");
    let mut large = client.subscribe("large").await.expect("subscribes");
    let payload: Bytes = (0..500_000_u32).map(|at| at.to_le_bytes()[0]).collect();
    for _ in 0..20 {
        client.publish("large", payload.clone()).await.expect("publishes");
    }
    for _ in 0..20 {
        assert!(next(&mut large).await.payload == payload);
    }
    assert!(
        ConnectOptions::new().connect(&url).await.is_err(),
        "the authority is unknown to this one"
    );
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_before_the_greeting_with_and_without_fallback() {
    let certificates = Certificates::new();
    for mode in [
        HandshakeFirst::Always,
        HandshakeFirst::Fallback(Duration::from_millis(50)),
    ] {
        let (server, url) = with_tls(TlsOptions {
            handshake_first: mode,
            ..certificates.server()
        })
        .await;
        settle(
            &certificates
                .client()
                .tls_first()
                .connect(&url)
                .await
                .expect("handshake first"),
        )
        .await;
        let greeting_first = certificates.client().connect(&url).await;
        match mode {
            HandshakeFirst::Always => assert!(greeting_first.is_err(), "there is no greeting without TLS"),
            _ => settle(&greeting_first.expect("greeting first")).await,
        }
        server.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fallback_greets_in_plaintext_but_takes_nothing_but_tls() {
    let (server, url) = with_tls(TlsOptions {
        handshake_first: HandshakeFirst::Fallback(Duration::from_millis(50)),
        ..Certificates::new().server()
    })
    .await;
    let address = url.trim_start_matches("nats://").to_owned();
    let plaintext = move || {
        let mut stream = std::net::TcpStream::connect(address).expect("connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("socket option");
        let mut greeting = [0; 5];
        stream.read_exact(&mut greeting).expect("a greeting");
        stream.write_all(b"CONNECT {}\r\nPING\r\n").expect("sent");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest); // It may be a reset, with our bytes unread.
        [&greeting[..], &rest].concat()
    };
    let heard = tokio::task::spawn_blocking(plaintext).await.expect("finishes");
    let heard = String::from_utf8_lossy(&heard).into_owned();
    assert!(
        heard.starts_with("INFO {") && heard.contains("\"tls_required\":true"),
        "{heard}"
    );
    assert!(!heard.contains("PONG") && !heard.contains("+OK"), "{heard}");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_as_a_choice() {
    let certificates = Certificates::new();
    let (server, url) = with_tls(TlsOptions {
        allow_non_tls: true,
        ..certificates.server()
    })
    .await;
    settle(&connect(&url).await).await;
    settle(
        &certificates
            .client()
            .require_tls(true)
            .connect(&url)
            .await
            .expect("connects"),
    )
    .await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificates_are_asked_for_and_say_who_comes() {
    let certificates = Certificates::new();
    let tls = TlsOptions {
        ca_file: Some(certificates.file("ca.pem")),
        verify: true,
        ..certificates.server()
    };
    let shown = || {
        certificates
            .client()
            .add_client_certificate(certificates.file("client.pem"), certificates.file("client.key"))
    };
    let (server, url) = with_tls(tls.clone()).await;
    settle(&shown().connect(&url).await.expect("connects")).await;
    assert!(
        certificates.client().connect(&url).await.is_err(),
        "without a certificate"
    );
    server.shutdown().await;
    for (name, known) in [("client.example", true), ("other.example", false)] {
        let users = vec![User {
            name: name.to_owned(),
            password: Secret::new(""),
            permissions: None,
        }];
        let authorization = Authorization {
            users,
            ..Authorization::default()
        };
        let tls = Some(TlsOptions {
            verify_and_map: true,
            ..tls.clone()
        });
        let (server, url) = start(Options {
            authorization,
            tls,
            ..local()
        })
        .await;
        assert_eq!(shown().connect(&url).await.is_ok(), known, "{name}");
        server.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_does_not_stand_for_the_single_user_or_the_token() {
    let certificates = Certificates::new();
    let only_user = OnlyUser {
        name: "client.example".to_owned(),
        password: Secret::new("right"),
    };
    let (server, url) = start(Options {
        authorization: Authorization {
            only_user: Some(only_user),
            ..Authorization::default()
        },
        tls: Some(TlsOptions {
            ca_file: Some(certificates.file("ca.pem")),
            verify_and_map: true,
            ..certificates.server()
        }),
        ..local()
    })
    .await;
    let shown = || {
        certificates
            .client()
            .add_client_certificate(certificates.file("client.pem"), certificates.file("client.key"))
    };
    assert!(shown().connect(&url).await.is_err(), "without the password");
    let named = shown().user_and_password("client.example".to_owned(), "right".to_owned());
    settle(&named.connect(&url).await.expect("connects")).await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_pinned_client_certificates_are_let_in() {
    let certificates = Certificates::new();
    let pin = |file: &str| {
        let pem = std::fs::read_to_string(certificates.file(file)).expect("readable");
        let key = KeyPair::from_pem(&pem).expect("a key");
        data_encoding::HEXUPPER.encode(&Sha256::digest(key.subject_public_key_info()))
    };
    for (pinned, is_let_in) in [("client.key", true), ("server.key", false)] {
        let (server, url) = with_tls(TlsOptions {
            ca_file: Some(certificates.file("ca.pem")),
            verify: true,
            pinned_certs: vec!["00".repeat(32), pin(pinned)],
            ..certificates.server()
        })
        .await;
        let shown = certificates
            .client()
            .add_client_certificate(certificates.file("client.pem"), certificates.file("client.key"));
        assert_eq!(shown.connect(&url).await.is_ok(), is_let_in, "{pinned}");
        server.shutdown().await;
    }
}
