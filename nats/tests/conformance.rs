//! What nats-server's own tests assert, as one table of scenarios. It runs against our server always, and against a real
//! nats-server when `STRANDLINE_TEST_NATS_SERVER` names its executable. Both read the same configuration text.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test"
)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use strandline_nats::{Options, Server};
use support::{Step, closed, eventually, expect, play, send};

const QUIET: &str = "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";
const MODERN: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true,\"protocol\":1}\r\n";
const PLAIN: &str = "";

const PASSWORD: &str = "authorization { user: derek, password: foo, timeout: 0.3 }";
const TOKEN: &str = "authorization { token: YZZ222, timeout: 0.3 }";
const BCRYPT: &str = "authorization { user: derek, password: \"$2a$04$7S1fbfjEUk3CI8FnMEfJVuE2ZJvX2Ps2nQl4UgdYPfkJhuXjkM2Le\" }";
const GUEST: &str = "authorization { users: [ {user: guest, password: x, permissions: {publish: \"open.>\"}}, {user: b, password: y} ] }\n\
    no_auth_user: guest";
const RULES: &str = "authorization { users: [ {user: alice, password: a, permissions: {
    publish: { allow: [\"req.*\", \"pub.>\"], deny: \"pub.secret\" },
    subscribe: { allow: [\"foo.*\", \"_INBOX.>\", \"work v1\", \"work v2.>\"], deny: [\"foo.bar\"] } } },
    {user: bob, password: b},
    {user: svc, password: s, permissions: { subscribe: \"req.>\", publish: { deny: \">\" }, allow_responses: { max: 1, expires: \"1m\" } } } ] }";

struct Case {
    name: &'static str,
    config: &'static str,
    steps: Vec<Step>,
    /// Why the real server does something else.
    differs: Option<&'static str>,
}

fn case(name: &'static str, config: &'static str, steps: impl Into<Vec<Step>>) -> Case {
    Case {
        name,
        config,
        steps: steps.into(),
        differs: None,
    }
}

fn our_way(
    name: &'static str,
    config: &'static str,
    reason: &'static str,
    steps: impl Into<Vec<Step>>,
) -> Case {
    Case {
        name,
        config,
        steps: steps.into(),
        differs: Some(reason),
    }
}

fn cases() -> Vec<Case> {
    let mut cases = basics();
    cases.extend(subjects());
    cases.extend(bad_input());
    cases.extend(delivery());
    cases.extend(connects());
    cases.extend(limits());
    cases.extend(authentication());
    cases.extend(permissions());
    cases.extend(default_permissions());
    cases
}

fn basics() -> Vec<Case> {
    vec![
        case(
            "a ping is answered",
            PLAIN,
            [send(0, "PING\r\n"), expect(0, "PONG\r\n")],
        ),
        case(
            "subscribe and publish in one segment deliver, and a second matching subscription gets its own copy",
            PLAIN,
            [
                send(0, QUIET),
                send(0, "SUB foo 1\r\nPUB foo 5\r\nhello\r\nPING\r\n"),
                expect(0, "MSG foo 1 5\r\nhello\r\nPONG\r\n"),
                send(0, "SUB * 2\r\nPUB foo 2\r\nok\r\nPING\r\n"),
                expect(0, "MSG foo {any} 2\r\nok\r\nMSG foo {any} 2\r\nok\r\nPONG\r\n"),
            ],
        ),
        case(
            "forms of a message",
            PLAIN,
            [
                send(0, QUIET),
                send(
                    0,
                    "SUB foo sid7\r\nPUB foo bar 0\r\n\r\nPUB foo 2\r\n\r\n\r\nPUB foo r.e.p 1\r\nx\r\n",
                ),
                expect(
                    0,
                    "MSG foo sid7 bar 0\r\n\r\nMSG foo sid7 2\r\n\r\n\r\nMSG foo sid7 r.e.p 1\r\nx\r\n",
                ),
            ],
        ),
        case(
            "verbose clients get an +OK for everything but pings, before the delivery",
            PLAIN,
            [
                send(0, "CONNECT {\"verbose\":true,\"pedantic\":false}\r\n"),
                expect(0, "+OK\r\n"),
                send(0, "PING\r\nPONG\r\nSUB foo 1\r\n"),
                expect(0, "PONG\r\n+OK\r\n"),
                send(
                    0,
                    "PUB foo 2\r\nhi\r\nUNSUB 1\r\nUNSUB 99\r\nSUB foo 1\r\nSUB bar 1\r\n",
                ),
                expect(0, "+OK\r\nMSG foo 1 2\r\nhi\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n"),
            ],
        ),
        case(
            "before a CONNECT everything works, verbosely",
            PLAIN,
            [
                send(0, "SUB foo 1\r\nPUB foo 1\r\nx\r\n"),
                expect(0, "+OK\r\n+OK\r\nMSG foo 1 1\r\nx\r\n"),
            ],
        ),
        case(
            "a CONNECT may come in pieces",
            PLAIN,
            [
                send(
                    0,
                    "CONNECT {\"verbose\":true,\"tls_required\":false,\"user\":\"test\",\"pedantic\":true,\"pass\":\"x\"}",
                ),
                Step::Wait(100),
                send(0, "\r\n"),
                expect(0, "+OK\r\n"),
            ],
        ),
        case(
            "names are case-insensitive and blanks generous",
            PLAIN,
            [
                send(
                    0,
                    "connect {\"verbose\":false}\r\nsub  foo\t 1 \r\nPub\tfoo  2\r\nhi\r\nping\r\nPing now\n",
                ),
                expect(0, "MSG foo 1 2\r\nhi\r\nPONG\r\nPONG\r\n"),
            ],
        ),
        case(
            "what servers say is ignored when clients say it",
            PLAIN,
            [
                send(0, QUIET),
                send(0, "+OK\r\nINFO {\"a\":1}\r\nPONG\r\nPING\r\n"),
                expect(0, "PONG\r\n"),
            ],
        ),
        case(
            "a client's error ends the connection",
            PLAIN,
            [send(0, QUIET), send(0, "-ERR 'no'\r\n"), closed(0)],
        ),
        case(
            "the greeting",
            "client_advertise: \"nats.example:4999\"\nmax_payload: 2000",
            [Step::Info(
                0,
                serde_json::json!({"proto": 1, "headers": true, "host": "nats.example", "port": 4999, "max_payload": 2000,
                    "auth_required": null, "tls_required": null, "nonce": null}),
            )],
        ),
    ]
}

fn subjects() -> Vec<Case> {
    let invalid = "-ERR 'Invalid Subject'\r\n";
    vec![
        case(
            "malformed filters are refused and the connection lives",
            PLAIN,
            [
                send(0, "CONNECT {\"verbose\":false,\"pedantic\":true}\r\n"),
                send(
                    0,
                    "SUB foo. 1\r\nSUB .foo. 2\r\nSUB foo..bar 3\r\nSUB foo.>.bar 4\r\nPING\r\n",
                ),
                expect(0, [invalid, invalid, invalid, invalid, "PONG\r\n"].concat()),
            ],
        ),
        case(
            "pedantic publishers are told about wildcards and empty tokens",
            PLAIN,
            [
                send(0, "CONNECT {\"verbose\":false,\"pedantic\":true}\r\n"),
                send(
                    0,
                    "PUB foo.* 2\r\nok\r\nPUB foo.> 2\r\nok\r\nPUB foo. 2\r\nok\r\nPUB .foo 2\r\nok\r\nPUB foo..* 2\r\nok\r\nPING\r\n",
                ),
                expect(
                    0,
                    [
                        "-ERR 'Invalid Publish Subject'\r\n".repeat(5).as_str(),
                        "PONG\r\n",
                    ]
                    .concat(),
                ),
            ],
        ),
        case(
            "a verbose pedantic publisher is told, confirmed and served",
            PLAIN,
            [
                send(0, "SUB foo.> 1\r\nPUB foo.* 1\r\nx\r\n"),
                expect(
                    0,
                    "+OK\r\n-ERR 'Invalid Publish Subject'\r\n+OK\r\nMSG foo.* 1 1\r\nx\r\n",
                ),
            ],
        ),
        case(
            "published wildcards are literal text, and empty tokens match nothing",
            PLAIN,
            [
                send(0, QUIET),
                send(0, "SUB foo.bar 1\r\nSUB foo.* 2\r\nPUB foo.* 1\r\na\r\nPING\r\n"),
                expect(0, "MSG foo.* 2 1\r\na\r\nPONG\r\n"),
                send(
                    0,
                    "SUB > 3\r\nPUB foo..bar 1\r\nb\r\nPUB foo. 1\r\nb\r\nPUB .foo 1\r\nb\r\nPING\r\n",
                ),
                expect(0, "PONG\r\n"),
            ],
        ),
        case(
            "wildcard characters inside a token are literal",
            PLAIN,
            [
                send(0, QUIET),
                send(
                    0,
                    "SUB foo.bar,*,>,baz 1\r\nSUB foo* 2\r\nPUB foobar 1\r\nx\r\nPUB foo.bar,*,>,baz 1\r\ny\r\nPUB foo* 1\r\nz\r\n",
                ),
                expect(0, "MSG foo.bar,*,>,baz 1 1\r\ny\r\nMSG foo* 2 1\r\nz\r\n"),
            ],
        ),
        case(
            "a filter of one token does not match two, nor the tail wildcard none",
            PLAIN,
            [
                send(0, QUIET),
                send(
                    0,
                    "SUB foo.* 1\r\nSUB foo.> 2\r\nSUB * 3\r\nPUB foo.a.b 1\r\nx\r\nPUB foo 1\r\ny\r\nPING\r\n",
                ),
                expect(0, "MSG foo.a.b 2 1\r\nx\r\nMSG foo 3 1\r\ny\r\nPONG\r\n"),
            ],
        ),
        case(
            "any byte may be in a subject",
            PLAIN,
            [
                send(0, QUIET),
                send(
                    0,
                    "SUB ü.$x_/é 1\r\nSUB a\u{1}b 2\r\nPUB ü.$x_/é 1\r\nx\r\nPUB a\u{1}b 1\r\ny\r\n",
                ),
                expect(0, "MSG ü.$x_/é 1 1\r\nx\r\nMSG a\u{1}b 2 1\r\ny\r\n"),
            ],
        ),
    ]
}

fn bad_input() -> Vec<Case> {
    let unknown = "-ERR 'Unknown Protocol Operation'\r\n";
    let mut cases = Vec::new();
    for text in [
        "ZZZ",
        "SUBZZZ foo 1\r\n",
        "PUBS foo 2\r\nok\r\n",
        "UNSUB_2\r\n",
        " PING\r\n",
        "MSG a 1 0\r\n\r\n",
        "\r\n",
    ] {
        let steps = [send(0, QUIET), send(0, text), expect(0, unknown), closed(0)];
        cases.push(case(
            "an unknown operation is named and ends the connection",
            PLAIN,
            steps,
        ));
    }
    for text in [
        "PUB foo\r\n",
        "PUB a b c 1\r\n",
        "PUB foo -1\r\n",
        "PUB foo 1x\r\n",
        "SUB foo\r\n",
        "SUB a b c d\r\n",
        "UNSUB \r\n",
        "UNSUB 1 2 3\r\n",
        "CONNECT \r\n",
        "CONNECT {\r\n",
        "CONNECT {\"verbose\":\"true\"}\r\n",
        "INFO \r\n",
        "PUB foo 18446744073709551615123\r\n",
        "HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    ] {
        let steps = [send(0, QUIET), send(0, text), closed(0)];
        cases.push(case("bad arguments end the connection", PLAIN, steps));
    }
    cases.extend([
        case(
            "a header longer than the whole ends the connection",
            PLAIN,
            [send(0, MODERN), send(0, "HPUB foo 14 12\r\n"), closed(0)],
        ),
        case(
            "a payload that is too short or too long for its size",
            PLAIN,
            [
                send(0, QUIET),
                send(0, "PUB foo 10\r\nhello\r\nPUB foo 5\r\nhello\r\n"),
                expect(0, unknown),
                closed(0),
            ],
        ),
        case(
            "an oversized payload is refused before it comes",
            "max_payload: 100",
            [
                send(0, QUIET),
                send(0, "PUB foo 101\r\n"),
                expect(0, "-ERR 'Maximum Payload Violation'\r\n"),
                closed(0),
            ],
        ),
        case(
            "a size near the largest number is refused",
            PLAIN,
            [
                send(0, QUIET),
                send(0, "PUB foo 199380988\r\n"),
                expect(0, "-ERR 'Maximum Payload Violation'\r\n"),
                closed(0),
            ],
        ),
        case(
            "a client cannot exceed the control line",
            "max_control_line: 256",
            [
                send(0, QUIET),
                send(0, format!("PUB foo.{} 2\r\nok\r\n", "x".repeat(320))),
                expect(0, "-ERR 'maximum control line exceeded'\r\n"),
                closed(0),
            ],
        ),
        case(
            "nor in pieces",
            "max_control_line: 256",
            [
                send(0, QUIET),
                send(0, format!("SUB foo.{}", "x".repeat(200))),
                Step::Wait(30),
                send(0, "y".repeat(100)),
                expect(0, "-ERR 'maximum control line exceeded'\r\n"),
                closed(0),
            ],
        ),
    ]);
    cases
}

fn delivery() -> Vec<Case> {
    let hundred = "PUB foo 2\r\nok\r\n".repeat(100);
    vec![
        case(
            "an automatic unsubscribe counts from the subscribe",
            PLAIN,
            [
                send(0, QUIET),
                send(0, "SUB foo 22\r\nUNSUB 22 2\r\n"),
                send(0, format!("{hundred}PING\r\n")),
                expect(0, "MSG foo 22 2\r\nok\r\nMSG foo 22 2\r\nok\r\nPONG\r\n"),
                send(
                    0,
                    "SUB foo 23\r\nPUB foo 1\r\na\r\nUNSUB 23 1\r\nPUB foo 1\r\nb\r\nPING\r\n",
                ),
                expect(0, "MSG foo 23 1\r\na\r\nPONG\r\n"),
                send(
                    0,
                    "SUB foo 24\r\nPUB foo 1\r\na\r\nUNSUB 24 2\r\nUNSUB 24\r\nPUB foo 1\r\nb\r\nPING\r\n",
                ),
                expect(0, "MSG foo 24 1\r\na\r\nPONG\r\n"),
                send(
                    0,
                    "SUB foo 25\r\nUNSUB 25 0\r\nSUB foo 26\r\nUNSUB 26 x\r\nPUB foo 1\r\nb\r\nPING\r\n",
                ),
                expect(0, "PONG\r\n"),
            ],
        ),
        case(
            "a second subscription with a live sid is ignored",
            PLAIN,
            [
                send(0, QUIET),
                send(
                    0,
                    "SUB foo 1\r\nSUB foo 1\r\nSUB bar 1\r\nPUB bar 1\r\nx\r\nPUB foo 1\r\ny\r\nPING\r\n",
                ),
                expect(0, "MSG foo 1 1\r\ny\r\nPONG\r\n"),
                send(0, "UNSUB 1\r\nPUB foo 1\r\ny\r\nPING\r\n"),
                expect(0, "PONG\r\n"),
            ],
        ),
        case(
            "without echo a client does not hear itself",
            PLAIN,
            [
                send(
                    0,
                    "CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB foo 1\r\nPING\r\n",
                ),
                expect(0, "PONG\r\n"),
                send(1, QUIET),
                send(1, "SUB foo 5\r\nPING\r\n"),
                expect(1, "PONG\r\n"),
                send(0, "PUB foo 1\r\nx\r\nPING\r\n"),
                expect(0, "PONG\r\n"),
                send(1, "PUB foo 1\r\ny\r\nPING\r\n"),
                expect(1, "MSG foo 5 1\r\nx\r\nMSG foo 5 1\r\ny\r\nPONG\r\n"),
                expect(0, "MSG foo 1 1\r\ny\r\n"),
            ],
        ),
        case(
            "a queue group skips the publisher that does not want its own messages",
            PLAIN,
            [
                send(
                    0,
                    "CONNECT {\"verbose\":false,\"echo\":false}\r\nSUB foo q 1\r\nPING\r\n",
                ),
                expect(0, "PONG\r\n"),
                send(1, QUIET),
                send(1, "SUB foo q 5\r\nPING\r\n"),
                expect(1, "PONG\r\n"),
                send(
                    0,
                    "PUB foo 1\r\na\r\nPUB foo 1\r\nb\r\nPUB foo 1\r\nc\r\nPING\r\n",
                ),
                expect(0, "PONG\r\n"),
                expect(1, "MSG foo 5 1\r\na\r\nMSG foo 5 1\r\nb\r\nMSG foo 5 1\r\nc\r\n"),
            ],
        ),
        case(
            "one member of a queue gets a message, whatever filter it used",
            PLAIN,
            [
                send(0, QUIET),
                send(0, "SUB foo q 1\r\nSUB * q 2\r\nPUB foo 1\r\nx\r\nPING\r\n"),
                expect(0, "MSG foo {any} 1\r\nx\r\nPONG\r\n"),
            ],
        ),
        case(
            "headers arrive unchanged, checked by nobody",
            PLAIN,
            [
                send(0, MODERN),
                send(0, "SUB foo 1\r\nHPUB foo 12 14\r\nName:Derek\r\nOK\r\n"),
                expect(0, "HMSG foo 1 12 14\r\nName:Derek\r\nOK\r\n"),
                send(
                    0,
                    "HPUB foo bar 20 22\r\nNATS/1.0\r\nA: b=c\r\n\r\nhi\r\nHPUB foo 0 2\r\nhi\r\n",
                ),
                expect(
                    0,
                    "HMSG foo 1 bar 20 22\r\nNATS/1.0\r\nA: b=c\r\n\r\nhi\r\nMSG foo 1 2\r\nhi\r\n",
                ),
            ],
        ),
        case(
            "clients without headers get the payload alone",
            PLAIN,
            [
                send(1, QUIET),
                send(1, "SUB foo 5\r\nSUB foo q 6\r\nPING\r\n"),
                expect(1, "PONG\r\n"),
                send(0, MODERN),
                send(0, "HPUB foo 12 14\r\nName:Derek\r\nOK\r\nPING\r\n"),
                expect(0, "PONG\r\n"),
                expect(1, "MSG foo {any} 2\r\nOK\r\nMSG foo {any} 2\r\nOK\r\n"),
            ],
        ),
        case(
            "a request that nobody gets is answered",
            PLAIN,
            [
                send(0, MODERN),
                send(0, "SUB reply.* 9\r\nPUB foo reply.1 2\r\nhi\r\nPING\r\n"),
                expect(
                    0,
                    "HMSG reply.1 9 35 35\r\nNATS/1.0 503\r\nNats-Subject: foo\r\n\r\n\r\nPONG\r\n",
                ),
                send(0, "SUB foo 10\r\nPUB foo reply.1 2\r\nhi\r\nPING\r\n"),
                expect(0, "MSG foo 10 reply.1 2\r\nhi\r\nPONG\r\n"),
                send(0, "PUB bar other.1 2\r\nhi\r\nPUB bar 0\r\n\r\nPING\r\n"),
                expect(0, "PONG\r\n"),
            ],
        ),
        case(
            "interest ends with its connection",
            PLAIN,
            [
                send(1, QUIET),
                send(1, "SUB foo 1\r\nSUB foo q 2\r\nPING\r\n"),
                expect(1, "PONG\r\n"),
                Step::Leave(1),
                Step::Wait(100),
                send(0, MODERN),
                send(0, "SUB r 9\r\nPUB foo r 0\r\n\r\nPING\r\n"),
                expect(
                    0,
                    "HMSG r 9 {any}\r\nNATS/1.0 503\r\nNats-Subject: foo\r\n\r\n\r\nPONG\r\n",
                ),
            ],
        ),
    ]
}

fn connects() -> Vec<Case> {
    vec![
        case(
            "an unknown protocol is refused",
            PLAIN,
            [
                send(0, "CONNECT {\"protocol\":2}\r\n"),
                expect(0, "-ERR 'invalid client protocol'\r\n"),
                closed(0),
            ],
        ),
        case(
            "no responders need headers",
            PLAIN,
            [
                send(0, "CONNECT {\"verbose\":false,\"no_responders\":true}\r\n"),
                expect(0, "-ERR 'no responders requires headers support'\r\n"),
                closed(0),
            ],
        ),
        case(
            "an account is nobody's to choose",
            PLAIN,
            [
                send(0, "CONNECT {\"account\":\"A\"}\r\n"),
                expect(0, "-ERR 'Authorization Violation'\r\n"),
                closed(0),
            ],
        ),
        case(
            "the second greeting comes after the first pong",
            PLAIN,
            [
                send(0, MODERN),
                send(0, "PING\r\n"),
                expect(0, "PONG\r\n"),
                expect(0, "INFO {any}\"connect_info\":true{any}\r\n"),
                send(0, "PING\r\n"),
                expect(0, "PONG\r\n"),
            ],
        ),
        case(
            "a second CONNECT changes the options",
            PLAIN,
            [
                send(0, QUIET),
                send(0, "CONNECT {\"verbose\":true}\r\nPUB a 0\r\n\r\n"),
                expect(0, "+OK\r\n+OK\r\n"),
            ],
        ),
    ]
}

fn limits() -> Vec<Case> {
    vec![
        case(
            "the connection after the last is told and closed",
            "max_connections: 1",
            [
                send(0, QUIET),
                send(0, "PING\r\n"),
                expect(0, "PONG\r\n"),
                expect(1, "INFO {any}\r\n-ERR 'maximum connections exceeded'\r\n"),
                closed(1),
                send(0, "PING\r\n"),
                expect(0, "PONG\r\n"),
            ],
        ),
        case(
            "the subscription after the last is refused",
            "max_subscriptions: 2",
            [
                send(0, QUIET),
                send(
                    0,
                    "SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nUNSUB 1\r\nSUB c 3\r\nPUB c 0\r\n\r\nPING\r\n",
                ),
                expect(
                    0,
                    "-ERR 'maximum subscriptions exceeded'\r\nMSG c 3 0\r\n\r\nPONG\r\n",
                ),
            ],
        ),
        case(
            "a subscription with too many tokens is refused and the connection stays",
            "max_sub_tokens: 2",
            [
                send(0, QUIET),
                send(0, "SUB a.b.c 1\r\nSUB a.b 2\r\nPUB a.b 0\r\n\r\nPING\r\n"),
                expect(
                    0,
                    "-ERR 'Permissions Violation for Subscription to \"a.b.c\", too many tokens'\r\nMSG a.b 2 0\r\n\r\nPONG\r\n",
                ),
            ],
        ),
        case(
            "a silent client sees two pings, the verdict, and the end",
            "ping_interval: \"50ms\"\nping_max: 2",
            [
                send(0, QUIET),
                expect(0, "PING\r\nPING\r\n-ERR 'Stale Connection'\r\n"),
                closed(0),
            ],
        ),
        case(
            "pongs that nobody asked for help nobody",
            "ping_interval: \"100ms\"\nping_max: 2",
            [
                send(0, QUIET),
                send(0, "PONG\r\n".repeat(100)),
                expect(0, "PING\r\nPING\r\n-ERR 'Stale Connection'\r\n"),
                closed(0),
            ],
        ),
        case(
            "a client that answers stays",
            "ping_interval: \"50ms\"\nping_max: 2",
            [
                send(0, QUIET),
                expect(0, "PING\r\n"),
                send(0, "PONG\r\n"),
                expect(0, "PING\r\n"),
                send(0, "PONG\r\n"),
                expect(0, "PING\r\n"),
                send(0, "PONG\r\n"),
                expect(0, "PING\r\n"),
            ],
        ),
    ]
}

fn authentication() -> Vec<Case> {
    let refused = "-ERR 'Authorization Violation'\r\n";
    let with = |fields: &str| format!("CONNECT {{\"verbose\":false,{fields}}}\r\nPING\r\n");
    let mut cases = vec![
        case(
            "the greeting asks for credentials",
            PASSWORD,
            [Step::Info(0, serde_json::json!({"auth_required": true}))],
        ),
        case(
            "a silent client runs out of time",
            PASSWORD,
            [
                expect(0, "INFO {any}\r\n-ERR 'Authentication Timeout'\r\n"),
                closed(0),
            ],
        ),
        case(
            "the right password",
            PASSWORD,
            [
                send(0, with("\"user\":\"derek\",\"pass\":\"foo\"")),
                expect(0, "PONG\r\n"),
            ],
        ),
        case(
            "the right token",
            TOKEN,
            [send(0, with("\"auth_token\":\"YZZ222\"")), expect(0, "PONG\r\n")],
        ),
        case(
            "a guest needs no CONNECT",
            GUEST,
            [
                Step::Info(0, serde_json::json!({"auth_required": null})),
                send(0, "PING\r\n"),
                expect(0, "PONG\r\n"),
            ],
        ),
        case(
            "a guest has the guest's permissions",
            GUEST,
            [
                send(0, QUIET),
                send(0, "PUB open.a 0\r\n\r\nPUB closed 0\r\n\r\nPING\r\n"),
                expect(
                    0,
                    "-ERR 'Permissions Violation for Publish to \"closed\"'\r\nPONG\r\n",
                ),
                send(1, with("\"user\":\"b\",\"pass\":\"y\"")),
                expect(1, "PONG\r\n"),
                send(1, "PUB closed 0\r\n\r\nPING\r\n"),
                expect(1, "PONG\r\n"),
            ],
        ),
        case(
            "a guest with a wrong password is nobody",
            GUEST,
            [
                send(0, with("\"user\":\"b\",\"pass\":\"x\"")),
                expect(0, refused),
                closed(0),
            ],
        ),
    ];
    for first in ["PUB foo 0\r\n\r\n", "SUB foo 1\r\n", "PING\r\n", "UNSUB 1\r\n"] {
        let steps = [send(0, first), expect(0, refused), closed(0)];
        cases.push(case(
            "nothing works before a CONNECT where credentials are asked for",
            PASSWORD,
            steps,
        ));
    }
    for (config, fields) in [
        (PASSWORD, "\"user\":\"derek\",\"pass\":\"bar\""),
        (PASSWORD, "\"user\":\"other\",\"pass\":\"foo\""),
        (PASSWORD, "\"user\":\"derek\""),
        (PASSWORD, "\"lang\":\"x\""),
        (PASSWORD, "\"auth_token\":\"foo\""),
        (TOKEN, "\"auth_token\":\"YZZ223\""),
        (TOKEN, "\"lang\":\"x\""),
        (BCRYPT, "\"user\":\"derek\",\"pass\":\"nope\""),
    ] {
        let steps = [send(0, with(fields)), expect(0, refused), closed(0)];
        cases.push(case("wrong credentials all get the same answer", config, steps));
    }
    cases
}

/// `permissions` beside `users` are the defaults under another name.
fn default_permissions() -> Vec<Case> {
    const LISTED: &str = "authorization { default_permissions: { publish: ok },
        users: [ {user: plain, password: x}, {user: own, password: x, permissions: { publish: own } } ] }";
    const OTHER_NAME: &str =
        "authorization { permissions: { publish: ok }, users: [ {user: plain, password: x} ] }";
    const SINGLE: &str = "authorization { user: plain, password: x, default_permissions: { publish: ok } }";
    const SINGLE_OTHER_NAME: &str =
        "authorization { user: plain, password: x, permissions: { publish: ok } }";
    const TOKEN: &str = "authorization { token: t, default_permissions: { publish: ok } }";
    const NOBODY: &str = "authorization { default_permissions: { publish: ok } }";
    let plain = "\"user\":\"plain\",\"pass\":\"x\",";
    let refused =
        |subject: &str| format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\nPONG\r\n");
    let free = "PONG\r\n".to_owned();
    [
        (
            "default permissions hold for a listed user",
            LISTED,
            plain,
            refused("no"),
        ),
        (
            "default permissions have two names",
            OTHER_NAME,
            plain,
            refused("no"),
        ),
        (
            "a user's own permissions replace the defaults",
            LISTED,
            "\"user\":\"own\",\"pass\":\"x\",",
            format!(
                "-ERR 'Permissions Violation for Publish to \"ok\"'\r\n{}",
                refused("no")
            ),
        ),
        ("the single user has no permissions", SINGLE, plain, free.clone()),
        (
            "the single user has none under the other name",
            SINGLE_OTHER_NAME,
            plain,
            free.clone(),
        ),
        (
            "the token has no permissions",
            TOKEN,
            "\"auth_token\":\"t\",",
            free.clone(),
        ),
        ("default permissions need users", NOBODY, "", free),
    ]
    .into_iter()
    .map(|(name, config, fields, answer)| {
        let operations = "PUB ok 0\r\n\r\nPUB no 0\r\n\r\nPING\r\n";
        let connect = format!("CONNECT {{{fields}\"verbose\":false}}\r\n{operations}");
        case(name, config, [send(0, connect), expect(0, answer)])
    })
    .collect()
}

fn permissions() -> Vec<Case> {
    let alice = "CONNECT {\"verbose\":false,\"user\":\"alice\",\"pass\":\"a\"}\r\n";
    let bob = "CONNECT {\"verbose\":false,\"user\":\"bob\",\"pass\":\"b\"}\r\n";
    let svc = "CONNECT {\"verbose\":false,\"user\":\"svc\",\"pass\":\"s\"}\r\n";
    vec![
        case(
            "publishing is allowed and denied by subject, and the connection stays",
            RULES,
            [
                send(0, alice),
                send(
                    0,
                    "PUB req.a 0\r\n\r\nPUB req.a.b 0\r\n\r\nPUB pub.x.y 0\r\n\r\nPUB pub.secret 0\r\n\r\nPUB other 0\r\n\r\nPING\r\n",
                ),
                expect(0, "-ERR 'Permissions Violation for Publish to \"req.a.b\"'\r\n"),
                expect(
                    0,
                    "-ERR 'Permissions Violation for Publish to \"pub.secret\"'\r\n",
                ),
                expect(
                    0,
                    "-ERR 'Permissions Violation for Publish to \"other\"'\r\nPONG\r\n",
                ),
            ],
        ),
        case(
            "subscribing too, and the denial replaces the +OK",
            RULES,
            [
                send(
                    0,
                    "CONNECT {\"verbose\":true,\"user\":\"alice\",\"pass\":\"a\"}\r\n",
                ),
                send(
                    0,
                    "SUB foo.a 1\r\nSUB foo.bar 2\r\nSUB bar 3\r\nSUB > 4\r\nPUB nope 0\r\n\r\n",
                ),
                expect(
                    0,
                    "+OK\r\n+OK\r\n-ERR 'Permissions Violation for Subscription to \"foo.bar\"'\r\n",
                ),
                expect(0, "-ERR 'Permissions Violation for Subscription to \"bar\"'\r\n"),
                expect(0, "-ERR 'Permissions Violation for Subscription to \">\"'\r\n"),
                expect(0, "-ERR 'Permissions Violation for Publish to \"nope\"'\r\n"),
            ],
        ),
        case(
            "what a wider subscription must not see is withheld",
            RULES,
            [
                send(0, alice),
                send(0, "SUB foo.* 1\r\nPING\r\n"),
                expect(0, "PONG\r\n"),
                send(1, bob),
                send(1, "PUB foo.bar 1\r\nx\r\nPUB foo.baz 1\r\ny\r\nPING\r\n"),
                expect(1, "PONG\r\n"),
                expect(0, "MSG foo.baz 1 1\r\ny\r\n"),
            ],
        ),
        case(
            "queue groups are allowed by name",
            RULES,
            [
                send(0, alice),
                send(
                    0,
                    "SUB work v1 1\r\nSUB work v2.x 2\r\nSUB work v3 3\r\nSUB work 4\r\nPING\r\n",
                ),
                expect(
                    0,
                    "-ERR 'Permissions Violation for Subscription to \"work\" using queue \"v3\"'\r\n",
                ),
                expect(
                    0,
                    "-ERR 'Permissions Violation for Subscription to \"work\"'\r\nPONG\r\n",
                ),
            ],
        ),
        case(
            "a service may answer once",
            RULES,
            [
                send(0, svc),
                send(0, "SUB req.> 1\r\nPUB inbox.1 0\r\n\r\nPING\r\n"),
                expect(
                    0,
                    "-ERR 'Permissions Violation for Publish to \"inbox.1\"'\r\nPONG\r\n",
                ),
                send(1, bob),
                send(1, "SUB inbox.* 5\r\nPUB req.x inbox.1 0\r\n\r\nPING\r\n"),
                expect(1, "PONG\r\n"),
                expect(0, "MSG req.x 1 inbox.1 0\r\n\r\n"),
                send(0, "PUB inbox.1 1\r\na\r\nPUB inbox.1 1\r\nb\r\nPING\r\n"),
                expect(
                    0,
                    "-ERR 'Permissions Violation for Publish to \"inbox.1\"'\r\nPONG\r\n",
                ),
                expect(1, "MSG inbox.1 5 1\r\na\r\n"),
            ],
        ),
        our_way(
            "subjects of the server itself are not for clients",
            PLAIN,
            "nats-server lets clients of its only account publish to $SYS",
            [
                send(0, QUIET),
                send(
                    0,
                    "PUB $SYS.x 0\r\n\r\nPUB $NRG.x 0\r\n\r\nPUB a $NRG.x 0\r\n\r\nPING\r\n",
                ),
                expect(0, "-ERR 'Permissions Violation for Publish to \"$SYS.x\"'\r\n"),
                expect(
                    0,
                    "-ERR 'Permissions Violation for Publish to \"$NRG.x\"'\r\nPONG\r\n",
                ),
            ],
        ),
    ]
}

fn options(config: &str) -> Options {
    let mut options = Options::from_text(config, Path::new("case.conf")).expect("a valid configuration");
    options.host = "127.0.0.1".to_owned();
    options.port = 0;
    options
}

#[test]
fn our_server_behaves_as_the_table_says() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    for case in cases() {
        println!("case: {} {:?}", case.name, case.steps.get(1));
        let server = runtime
            .block_on(Server::start(options(case.config)))
            .expect("starts");
        play(server.client_addr(), &case.steps);
        runtime.block_on(server.shutdown());
    }
}

/// A real nats-server, and the directory of its files.
struct Theirs {
    process: Child,
    directory: tempfile::TempDir,
}

impl Theirs {
    /// Starts one at a port that it chooses itself. Choosing one here and letting go of it for the server lets another
    /// process take it first; connecting to see whether it listens leaves a connection that `max_connections` counts.
    fn start(executable: &std::ffi::OsStr, config: &str) -> Self {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("nats.conf");
        std::fs::write(&file, config).expect("file");
        let process = Command::new(executable)
            .arg("-c")
            .arg(&file)
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(directory.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts");
        Self { process, directory }
    }

    /// Where it listens: it writes that into a file once it does.
    fn address(&self) -> SocketAddr {
        let name = format!("nats-server_{}.ports", self.process.id());
        let file = self.directory.path().join(name);
        let mut address = None;
        eventually("nats-server listens", || {
            address = std::fs::read(&file)
                .ok()
                .and_then(|written| serde_json::from_slice::<serde_json::Value>(&written).ok())
                .and_then(|ports| ports["nats"][0].as_str()?.strip_prefix("nats://")?.parse().ok());
            address.is_some()
        });
        address.expect("just seen")
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn nats_server_behaves_as_the_table_says() {
    let Some(executable) = std::env::var_os("STRANDLINE_TEST_NATS_SERVER") else {
        println!("skipped: STRANDLINE_TEST_NATS_SERVER names no nats-server");
        return;
    };
    for case in cases() {
        if let Some(reason) = case.differs {
            println!("differs: {}: {reason}", case.name);
            continue;
        }
        println!("case: {} {:?}", case.name, case.steps.get(1));
        let theirs = Theirs::start(&executable, case.config);
        play(theirs.address(), &case.steps);
    }
}
