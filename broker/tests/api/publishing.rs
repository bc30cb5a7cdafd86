//! Publish, PublishAsync and PublishToSubject.

use bytes::Bytes;
use strandline_proto::api::*;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request};

use crate::harness::{Harness, TIMEOUT, headers, text};

fn request(stream: &str, correlation_id: &str) -> PublishRequest {
    PublishRequest {
        stream: stream.into(),
        correlation_id: correlation_id.into(),
        value: Bytes::from_static(b"v"),
        expected_offset: -1,
        ..Default::default()
    }
}

/// Sends requests on one PublishAsync stream and collects as many responses.
async fn publish_async(
    harness: &mut Harness,
    requests: Vec<PublishRequest>,
    expected: usize,
) -> Vec<PublishResponse> {
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    let mut responses = harness
        .client
        .publish_async(ReceiverStream::new(receiver))
        .await
        .unwrap()
        .into_inner();
    let send = tokio::spawn(async move {
        for request in requests {
            sender.send(request).await.unwrap();
        }
        sender
    });
    let mut found = Vec::new();
    while found.len() < expected {
        let response = tokio::time::timeout(TIMEOUT, responses.next())
            .await
            .expect("an answer in time");
        found.push(response.expect("an open stream").unwrap());
    }
    // Half-closing ends the stream cleanly.
    drop(send.await.unwrap());
    assert!(
        tokio::time::timeout(TIMEOUT, responses.next())
            .await
            .unwrap()
            .is_none()
    );
    found
}

#[tokio::test]
async fn an_ack_tells_where_the_record_is() {
    let mut harness = Harness::start().await;
    harness.create("foo", "subj").await;
    for offset in 0..3 {
        let ack = harness.publish("foo", "x").await.unwrap();
        assert_eq!(
            (
                ack.stream.as_str(),
                ack.partition_subject.as_str(),
                ack.msg_subject.as_str()
            ),
            ("foo", "subj", "subj")
        );
        assert_eq!(
            (ack.offset, ack.correlation_id.as_str(), ack.ack_error),
            (offset, "c", 0)
        );
        assert!(ack.reception_timestamp > 0 && ack.commit_timestamp >= ack.reception_timestamp);
    }
}

#[tokio::test]
async fn a_refused_publish_has_the_status_that_clients_know() {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    let cases = [
        (
            PublishRequest {
                stream: String::new(),
                ..request("", "")
            },
            Code::InvalidArgument,
            "no stream provided",
        ),
        (request("bar", ""), Code::NotFound, "no such stream: bar"),
        (
            PublishRequest {
                partition: 1,
                ..request("foo", "")
            },
            Code::NotFound,
            "no such partition: 1",
        ),
        (
            PublishRequest {
                partition: -1,
                ..request("foo", "")
            },
            Code::NotFound,
            "no such partition: -1",
        ),
        (
            PublishRequest {
                value: vec![0; 2 << 20].into(),
                ..request("foo", "")
            },
            Code::InvalidArgument,
            "message exceeds max replication size",
        ),
    ];
    for (request, code, text) in cases {
        let status = harness.send(request).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, text));
    }
    let silent = PublishRequest {
        ack_policy: AckPolicy::None.into(),
        ..request("foo", "")
    };
    assert_eq!(harness.send(silent).await.unwrap(), None);
    // Without a deadline the call is answered all the same.
    let ack = harness
        .client
        .publish(request("foo", ""))
        .await
        .unwrap()
        .into_inner()
        .ack
        .unwrap();
    assert_eq!(ack.offset, 1);
}

#[tokio::test]
async fn every_request_of_a_publish_async_stream_is_answered_in_order() {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    let requests = (0..500)
        .map(|number| request("foo", &format!("c{number}")))
        .collect();
    let responses = publish_async(&mut harness, requests, 500).await;
    for (number, response) in responses.iter().enumerate() {
        let ack = response.ack.as_ref().unwrap();
        assert_eq!(response.correlation_id, format!("c{number}"));
        assert_eq!(ack.correlation_id, response.correlation_id);
        assert_eq!(ack.offset, number as i64);
        assert!(!ack.ack_inbox.is_empty());
    }
}

#[tokio::test]
async fn errors_of_a_publish_async_stream_leave_it_open() {
    let mut harness = Harness::start().await;
    harness.create("foo", "foo").await;
    let silent = PublishRequest {
        ack_policy: AckPolicy::None.into(),
        ..request("foo", "silent")
    };
    let large = PublishRequest {
        value: vec![0; 2 << 20].into(),
        ..request("foo", "large")
    };
    let requests = vec![
        request("bar", "a"),
        silent,
        large,
        PublishRequest {
            partition: 7,
            ..request("foo", "b")
        },
        request("foo", "c"),
    ];
    let mut responses = publish_async(&mut harness, requests, 4).await;
    responses.sort_by(|a, b| a.correlation_id.cmp(&b.correlation_id));
    let errors: Vec<_> = responses
        .iter()
        .map(|response| {
            let error = response.async_error.clone().unwrap_or_default();
            (response.correlation_id.as_str(), error.code, error.message)
        })
        .collect();
    let expected = [
        ("a", 2, "no such stream: bar".to_owned()),
        ("b", 2, "no such partition: 7".to_owned()),
        ("c", 0, String::new()),
        ("large", 1, "message exceeds max replication size".to_owned()),
    ];
    assert_eq!(errors, expected);
    assert_eq!(responses[2].ack.as_ref().unwrap().offset, 1);
    assert_eq!(responses[0].ack.as_ref().unwrap().correlation_id, "");
}

#[tokio::test]
async fn under_concurrency_control_the_expected_offset_decides() {
    let mut harness = Harness::start().await;
    let control = Some(NullableBool { value: true });
    let create = CreateStreamRequest {
        name: "foo".into(),
        subject: "foo".into(),
        optimistic_concurrency_control: control,
        ..Default::default()
    };
    harness.client.create_stream(create).await.unwrap();
    let expecting = |offset| PublishRequest {
        expected_offset: offset,
        ..request("foo", "")
    };
    let wrong = harness.send(expecting(100)).await.unwrap_err();
    assert_eq!(
        (wrong.code(), wrong.message()),
        (Code::Unknown, "incorrect expected offset")
    );
    assert_eq!(harness.send(expecting(0)).await.unwrap().unwrap().offset, 0);
    assert_eq!(harness.send(expecting(-1)).await.unwrap().unwrap().offset, 1);
    let silent = PublishRequest {
        ack_policy: AckPolicy::None.into(),
        ..expecting(2)
    };
    let status = harness.send(silent.clone()).await.unwrap_err();
    assert_eq!(
        status.message(),
        "stream with concurrency control must have AckPolicy set"
    );
    let responses = publish_async(&mut harness, vec![silent, expecting(2), expecting(2)], 3).await;
    let codes: Vec<_> = responses
        .iter()
        .map(|r| r.async_error.as_ref().map_or(0, |error| error.code))
        .collect();
    assert_eq!(codes, [1, 0, 5]);
}

#[tokio::test]
async fn a_message_on_a_subject_reaches_every_stream_of_it() {
    let mut harness = Harness::start().await;
    harness.create("one", "orders.*").await;
    harness.create("two", "orders.eu").await;
    harness.create("other", "invoices").await;
    let mut publish = Request::new(PublishToSubjectRequest {
        subject: "orders.eu".into(),
        value: Bytes::from_static(b"x"),
        headers: headers(&[("h", "1")]),
        ..Default::default()
    });
    publish.set_timeout(TIMEOUT);
    let ack = harness
        .client
        .publish_to_subject(publish)
        .await
        .unwrap()
        .into_inner()
        .ack
        .unwrap();
    assert_eq!((ack.msg_subject.as_str(), ack.offset), ("orders.eu", 0));
    harness.publish("two", "by name").await.unwrap();
    assert_eq!(harness.values("two").await, ["x", "by name"]);
    // The ack is of the stream that was named. The other one of the subject, which nobody waits for, was late on a busy machine.
    assert_eq!(harness.wait_for_values("one", 2).await, ["x", "by name"]);
    let subscribe = SubscribeRequest {
        stream: "one".into(),
        start_position: StartPosition::Earliest.into(),
        ..Default::default()
    };
    let message = harness.subscribe(subscribe).await.unwrap().next().await;
    assert_eq!(
        (text(&message.headers["subject"]), text(&message.headers["h"])),
        ("orders.eu".into(), "1".into())
    );
    assert_eq!(message.headers["reply"], "");
}

#[tokio::test]
async fn a_subject_that_nobody_records_gives_no_ack() {
    let mut harness = Harness::start().await;
    let mut publish = Request::new(PublishToSubjectRequest {
        subject: "nobody".into(),
        ..Default::default()
    });
    publish.set_timeout(std::time::Duration::from_millis(300));
    let status = harness.client.publish_to_subject(publish).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status:?}"
    );
    let invalid = PublishToSubjectRequest {
        subject: "a b".into(),
        ..Default::default()
    };
    assert_eq!(
        harness
            .client
            .publish_to_subject(invalid)
            .await
            .unwrap_err()
            .code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn streams_of_one_group_share_the_messages_of_a_subject() {
    let mut harness = Harness::start().await;
    for name in ["one", "two"] {
        let create = CreateStreamRequest {
            name: name.into(),
            subject: "shared".into(),
            group: "g".into(),
            ..Default::default()
        };
        harness.client.create_stream(create).await.unwrap();
    }
    let requests = (0..100)
        .map(|number| request("one", &number.to_string()))
        .collect();
    let responses = publish_async(&mut harness, requests, 100).await;
    assert!(responses.iter().all(|response| response.async_error.is_none()));
    let (one, two) = (
        harness.values("one").await.len(),
        harness.values("two").await.len(),
    );
    assert_eq!(one + two, 100);
    assert!(one >= 20 && two >= 20, "{one} and {two}");
}
