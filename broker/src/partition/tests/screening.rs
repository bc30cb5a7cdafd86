//! Records on their way past plugins, from the inbox into a real log.

use std::collections::HashMap;

use proptest::prelude::*;

use strandline_core::record::RecordView;

use super::super::letters::LETTER_HEADERS;
use super::*;

/// Judges by the first word of a value: `drop`, `letter` with a box for it, `fail`, `key`, `slow`, `panic`; anything else passes.
#[derive(Debug)]
struct ByFirstWord;

impl Screen for ByFirstWord {
    fn screen(&self, records: &[RecordView<'_>], out: &mut Screened) {
        for (number, record) in records.iter().enumerate() {
            let value = str::from_utf8(record.value()).unwrap();
            let (word, rest) = value.split_once(' ').unwrap_or((value, ""));
            out.verdicts.push(match word {
                "drop" => Verdict::Drop,
                "fail" => Verdict::Refuse(Reject::PluginFailed),
                "letter" => Verdict::DeadLetter,
                _ => Verdict::Pass,
            });
            match word {
                "key" => out.found_key(number, rest.as_bytes()),
                "panic" => panic!("over {rest}"),
                "slow" => std::thread::sleep(Duration::from_millis(20)),
                // As of a chain, of which a later filter tells its own after those of an earlier one.
                "letter" => out.letters.insert(
                    0,
                    Letter {
                        record: number,
                        to: rest.split(' ').next().unwrap().into(),
                        plugin: "words@3".into(),
                        reason: "it says so".into(),
                    },
                ),
                _ => {}
            }
        }
    }
}

#[derive(Debug, Default)]
struct Boxes(Mutex<HashMap<String, Arc<PartitionHandle>>>);

impl LetterBox for Boxes {
    fn find(&self, stream: &str, _: PartitionId) -> Option<Arc<PartitionHandle>> {
        self.0.lock().get(stream).cloned()
    }
}

struct Setting {
    bench: Bench,
    stage: Stage,
    boxes: Arc<Boxes>,
    heard: Arc<Heard>,
    origin: Origin,
}

async fn screened() -> Setting {
    let boxes = Arc::new(Boxes::default());
    let stage = Stage::start(boxes.clone()).unwrap();
    let bench = bench(false).await;
    bench
        .handle
        .screen_by(Some(Arc::new(ByFirstWord)), stage.handle());
    let heard = Arc::new(Heard::default());
    Setting {
        origin: Origin::Session(heard.clone()),
        bench,
        stage,
        boxes,
        heard,
    }
}

impl Setting {
    /// Publishes these values, each under its number, and waits for what becomes of all of them.
    async fn publish(&self, values: &[&str]) -> Vec<Result<i64, Reject>> {
        let ids: Vec<_> = (0..values.len()).map(|number| number.to_string()).collect();
        let messages: Vec<_> = values
            .iter()
            .zip(&ids)
            .map(|(value, id)| (*value, answered(id)))
            .collect();
        self.heard.acks.lock().clear();
        self.bench.handle.push(chunk(&self.origin, &messages)).await;
        let all = |acks: &Vec<_>| acks.len() == values.len();
        let acks = wait_for(|| Some(self.heard.acks.lock().clone()).filter(all)).await;
        let numbers: Vec<_> = acks.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(numbers, ids, "answers keep their order");
        acks.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

/// Key, value and headers of a record.
type Stored = (Option<String>, String, Vec<(String, String)>);

/// The records of a partition.
fn stored(handle: &PartitionHandle) -> Vec<Stored> {
    let limit = ReadLimit {
        end: Offset::MAX,
        max_bytes: usize::MAX,
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (mut records, mut next) = (Vec::<Stored>::new(), Offset::ZERO);
    while next < handle.log().end() {
        let run = handle.log().read(next, limit).unwrap();
        for batch in run.batches().map(Result::unwrap) {
            batch.check_records().unwrap();
            records.extend(batch.records().map(|record| {
                let headers = record.headers().map(|(name, value)| (text(name), text(value)));
                (record.key().map(text), text(record.value()), headers.collect())
            }));
        }
        next = run.next;
    }
    records
}

fn values(handle: &PartitionHandle) -> Vec<String> {
    stored(handle).into_iter().map(|(_, value, _)| value).collect()
}

#[tokio::test]
async fn a_dropped_message_takes_no_offset_and_is_answered_without_one() {
    let screened = screened().await;
    let outcomes = screened
        .publish(&["a", "drop b", "c", "fail d", "e", "drop"])
        .await;
    let failed = Err(Reject::PluginFailed);
    assert_eq!(outcomes, [Ok(0), Ok(-1), Ok(1), failed, Ok(2), Ok(-1)]);
    assert_eq!(screened.publish(&["drop", "drop"]).await, [Ok(-1), Ok(-1)]);
    assert_eq!(screened.publish(&["f"]).await, [Ok(3)]);
    assert_eq!(values(&screened.bench.handle), ["a", "c", "e", "f"]);
}

#[tokio::test]
async fn a_panic_of_the_host_refuses_its_batch_and_nothing_else() {
    let screened = screened().await;
    let failed = Err(Reject::PluginFailed);
    assert_eq!(screened.publish(&["a", "panic b", "c"]).await, [failed; 3]);
    // More often than there are threads.
    for _ in 0..20 {
        assert_eq!(screened.publish(&["panic d"]).await, [failed]);
    }
    assert_eq!(screened.publish(&["e"]).await, [Ok(0)]);
    assert_eq!(values(&screened.bench.handle), ["e"]);
}

#[tokio::test]
async fn found_keys_are_stored_with_their_records() {
    let screened = screened().await;
    let outcomes = screened
        .publish(&["a", "key k1", "drop", "key ", "b", "key k2"])
        .await;
    assert_eq!(outcomes, [Ok(0), Ok(1), Ok(-1), Ok(2), Ok(3), Ok(4)]);
    let keys: Vec<_> = stored(&screened.bench.handle)
        .into_iter()
        .map(|(key, ..)| key)
        .collect();
    let keys: Vec<_> = keys.iter().map(Option::as_deref).collect();
    assert_eq!(keys, [None, Some("k1"), Some(""), None, Some("k2")]);
}

#[tokio::test]
async fn a_dead_letter_is_stored_with_its_story_before_its_message_is_answered() {
    let screened = screened().await;
    let dead = bench(false).await;
    // Its own plugins do not see dead letters of others: none is dead-lettered again.
    dead.handle
        .screen_by(Some(Arc::new(ByFirstWord)), screened.stage.handle());
    screened
        .boxes
        .0
        .lock()
        .insert("dead".to_owned(), Arc::clone(&dead.handle));
    let outcomes = screened.publish(&["a", "letter dead", "b", "letter dead"]).await;
    assert_eq!(outcomes, [Ok(0), Ok(-1), Ok(1), Ok(-1)]);
    assert_eq!(values(&screened.bench.handle), ["a", "b"]);
    let letters = stored(&dead.handle);
    assert_eq!(letters.len(), 2);
    let headers: HashMap<_, _> = letters[0].2.iter().cloned().collect();
    let told = LETTER_HEADERS.map(|name| headers[name].as_str());
    assert_eq!(told, ["orders", "0", "-1", "orders", "words@3", "it says so"]);
}

#[tokio::test]
async fn a_message_whose_dead_letter_cannot_be_stored_is_refused() {
    let screened = screened().await;
    let outcomes = screened.publish(&["a", "letter nowhere", "b"]).await;
    assert_eq!(outcomes, [Ok(0), Err(Reject::DeadLetterLost), Ok(1)]);
    let closed = bench(false).await;
    screened
        .boxes
        .0
        .lock()
        .insert("closed".to_owned(), Arc::clone(&closed.handle));
    closed
        .appender
        .handle()
        .remove(LogId::new(1), ReadState::Deleted)
        .await;
    let outcomes = screened.publish(&["letter closed", "c"]).await;
    assert_eq!(outcomes, [Err(Reject::DeadLetterLost), Ok(2)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_keep_their_order_while_plugins_come_and_go() {
    let screened = screened().await;
    let handle = Arc::clone(&screened.bench.handle);
    let stage = screened.stage.handle().clone();
    let toggles = tokio::spawn(async move {
        for number in 0..200 {
            let screen = Arc::new(ByFirstWord) as Arc<dyn Screen>;
            handle.screen_by((number % 2 == 0).then_some(screen), &stage);
            tokio::time::sleep(Duration::from_micros(300)).await;
        }
        handle.screen_by(None, &stage);
    });
    let mut sent = Vec::new();
    let mut number = 0;
    while !toggles.is_finished() {
        let texts: Vec<_> = (0..5).map(|more| (number + more).to_string()).collect();
        let messages: Vec<_> = texts.iter().map(|text| (text.as_str(), answered(text))).collect();
        screened
            .bench
            .handle
            .push(chunk(&screened.origin, &messages))
            .await;
        sent.extend(texts);
        number += 5;
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    let all = |acks: &Vec<_>| acks.len() == sent.len();
    let acks = wait_for(|| Some(screened.heard.acks.lock().clone()).filter(all)).await;
    for (number, (id, outcome)) in acks.iter().enumerate() {
        assert_eq!(
            (id.as_str(), *outcome),
            (sent[number].as_str(), Ok(number as i64))
        );
    }
    assert!(
        values(&screened.bench.handle) == sent,
        "the log's order is another one"
    );
}

/// A plugin that was attached while the partition was being given back to its owner, because the one before was gone, was never
/// asked: the owner had taken the inbox, and everything passed unseen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_comes_while_another_one_goes_is_asked() {
    let screened = screened().await;
    let (handle, stage) = (&screened.bench.handle, screened.stage.handle());
    for round in 0..1_500 {
        handle.screen_by(None, stage);
        // About as long as it takes a thread of the stage to look.
        (0..round % 300 * 10).for_each(|_| std::hint::spin_loop());
        handle.screen_by(Some(Arc::new(ByFirstWord)), stage);
        assert_eq!(screened.publish(&["drop"]).await, [Ok(-1)], "round {round}");
    }
}

/// What is published at once, and whether plugins look at it.
type Step = (bool, Vec<Vec<&'static str>>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let words = [
        "pass",
        "pass",
        "drop",
        "fail",
        "key k",
        "letter dead",
        "letter nowhere",
    ];
    let chunk = proptest::collection::vec(proptest::sample::select(words.to_vec()), 1..6);
    let step = (any::<bool>(), proptest::collection::vec(chunk, 1..5));
    proptest::collection::vec(step, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// What is stored, answered and dead-lettered is what the verdicts say of each message for itself, in the order in which
    /// messages came, however they come together and whenever plugins come and go.
    #[test]
    fn what_becomes_of_messages_is_what_is_said_of_each_in_their_order(steps in steps()) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(check_steps(&steps));
    }
}

async fn check_steps(steps: &[Step]) {
    let screened = screened().await;
    let dead = bench(false).await;
    screened
        .boxes
        .0
        .lock()
        .insert("dead".to_owned(), Arc::clone(&dead.handle));
    let (mut kept, mut letters, mut number) = (Vec::new(), Vec::new(), 0);
    for (is_screened, chunks) in steps {
        let screen = is_screened.then(|| Arc::new(ByFirstWord) as Arc<dyn Screen>);
        screened.bench.handle.screen_by(screen, screened.stage.handle());
        screened.heard.acks.lock().clear();
        let mut expected = Vec::new();
        for words in chunks {
            let values: Vec<_> = (number..)
                .zip(words)
                .map(|(number, word)| format!("{word} {number}"))
                .collect();
            number += words.len();
            for (word, value) in words.iter().zip(&values) {
                let outcome = match (*word, is_screened) {
                    ("drop", true) => Ok(-1),
                    ("letter dead", true) => {
                        letters.push(value.clone());
                        Ok(-1)
                    }
                    ("letter nowhere", true) => Err(Reject::DeadLetterLost),
                    ("fail", true) => Err(Reject::PluginFailed),
                    _ => {
                        let key = value.strip_prefix("key ").filter(|_| *is_screened);
                        kept.push((key.map(str::to_owned), value.clone()));
                        Ok(kept.len() as i64 - 1)
                    }
                };
                expected.push((value.clone(), outcome));
            }
            let messages: Vec<_> = values
                .iter()
                .map(|value| (value.as_str(), answered(value)))
                .collect();
            screened
                .bench
                .handle
                .push(chunk(&screened.origin, &messages))
                .await;
        }
        let all = |acks: &Vec<_>| acks.len() == expected.len();
        let acks = wait_for(|| Some(screened.heard.acks.lock().clone()).filter(all)).await;
        assert_eq!(acks, expected);
    }
    let held: Vec<_> = stored(&screened.bench.handle)
        .into_iter()
        .map(|(key, value, _)| (key, value))
        .collect();
    assert_eq!(held, kept);
    assert_eq!(values(&dead.handle), letters);
}

#[tokio::test]
async fn a_stop_answers_what_plugins_are_still_looking_at() {
    let screened = screened().await;
    let messages = [
        ("slow a", answered("a")),
        ("slow b", answered("b")),
        ("c", answered("c")),
    ];
    for message in messages {
        screened
            .bench
            .handle
            .push(chunk(&screened.origin, &[message]))
            .await;
    }
    let Setting {
        bench, stage, heard, ..
    } = screened;
    tokio::task::spawn_blocking(move || {
        stage.stop();
        bench.appender.stop();
    })
    .await
    .unwrap();
    let expected = [("a", Ok(0)), ("b", Ok(1)), ("c", Ok(2))];
    assert_eq!(
        *heard.acks.lock(),
        expected.map(|(id, outcome)| (id.to_owned(), outcome))
    );
}
