use std::any::Any;

use proptest::prelude::*;

use super::*;
use crate::local::{Flush, LocalBatch, LocalSink};
use crate::message::Message;
use crate::router::Target;
use crate::subject;

#[derive(Debug)]
struct Nobody;

impl LocalSink for Nobody {
    fn open(&self) -> Box<dyn LocalBatch> {
        Box::new(Nobody)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl LocalBatch for Nobody {
    fn push(&mut self, _message: &Message<'_>) {}

    fn flush(&mut self) -> Flush {
        Flush::Done
    }
}

fn subscription(filter: &str, queue: Option<&str>, number: usize) -> Arc<Subscription> {
    let sid = number.to_string();
    let queue = queue.map(str::as_bytes);
    Arc::new(Subscription::new(
        filter.as_bytes(),
        queue,
        sid.as_bytes(),
        Target::Local(Arc::new(Nobody)),
    ))
}

fn sids(subscriptions: &[Arc<Subscription>]) -> Vec<String> {
    let mut sids: Vec<String> = subscriptions
        .iter()
        .map(|subscription| String::from_utf8_lossy(&subscription.sid).into_owned())
        .collect();
    sids.sort();
    sids
}

/// A route in comparable form: plain members, then each group with its members.
type Shape = (Vec<String>, Vec<(Vec<u8>, Vec<String>)>);

fn shape(route: &Route) -> Shape {
    let mut groups: Vec<_> = route
        .groups
        .iter()
        .map(|group| (group.name.to_vec(), sids(&group.members)))
        .collect();
    groups.sort();
    (sids(&route.plain), groups)
}

#[derive(Debug, Clone)]
enum Step {
    Insert(String, Option<&'static str>),
    Remove(usize),
    Ask(String),
}

fn words(choices: Vec<&'static str>) -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(choices), 1..4).prop_map(|tokens| tokens.join("."))
}

fn step() -> impl Strategy<Value = Step> {
    let queue = proptest::sample::select(vec![None, None, Some("q"), Some("r")]);
    prop_oneof![
        (words(vec!["a", "b", "*", ">"]), queue).prop_map(|(filter, queue)| Step::Insert(filter, queue)),
        any::<usize>().prop_map(Step::Remove),
        words(vec!["a", "b", "*", ""]).prop_map(Step::Ask),
        words(vec!["a", "b"]).prop_map(Step::Ask),
    ]
}

proptest! {
    #[test]
    fn cached_routes_are_those_of_asking_every_subscription(steps in proptest::collection::vec(step(), 1..120)) {
        let router = Router::default();
        let mut live: Vec<Arc<Subscription>> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(filter, queue) if subject::is_filter(filter.as_bytes()) => {
                    let subscription = subscription(&filter, queue, number);
                    router.insert(Arc::clone(&subscription));
                    live.push(subscription);
                }
                Step::Insert(..) => {}
                Step::Remove(which) if !live.is_empty() => {
                    let removed = live.swap_remove(which % live.len());
                    let before = router.generation();
                    router.remove(&removed);
                    router.remove(&removed);
                    prop_assert_eq!(router.generation(), before + 1);
                }
                Step::Remove(_) => {}
                Step::Ask(asked) => {
                    let matching: Vec<_> =
                        live.iter().filter(|one| subject::matches(&one.filter, asked.as_bytes())).cloned().collect();
                    let (plain, queued): (Vec<_>, Vec<_>) = matching.into_iter().partition(|one| one.queue.is_none());
                    let mut groups = Vec::new();
                    for name in ["q", "r"] {
                        let members: Vec<_> =
                            queued.iter().filter(|one| one.queue.as_deref() == Some(name.as_bytes())).cloned().collect();
                        if !members.is_empty() {
                            groups.push((name.as_bytes().to_vec(), sids(&members)));
                        }
                    }
                    prop_assert_eq!(shape(&router.route(asked.as_bytes())), (sids(&plain), groups));
                }
            }
            prop_assert_eq!(router.count(), live.len());
        }
    }
}

#[test]
fn a_route_of_local_sinks_only_is_static() {
    let router = Router::default();
    assert_eq!(
        router.route(b"a").static_local().map(<[_]>::len),
        Some(0),
        "nobody is a fixed answer too"
    );
    router.insert(subscription("a", None, 1));
    router.insert(subscription(">", None, 2));
    assert_eq!(router.route(b"a").static_local().map(<[_]>::len), Some(2));
    router.insert(subscription("*", Some("q"), 3));
    assert!(
        router.route(b"a").static_local().is_none(),
        "a queue group chooses anew for each message"
    );
}

#[test]
fn the_cache_forgets_and_stays_right_beyond_its_limit() {
    let router = Router::default();
    router.insert(subscription("a.*", None, 1));
    for number in 0..5000 {
        assert_eq!(router.route(format!("a.{number}").as_bytes()).plain.len(), 1);
    }
    router.insert(subscription("a.7", None, 2));
    assert_eq!(router.route(b"a.7").plain.len(), 2);
    assert_eq!(router.route(b"a.8").plain.len(), 1);
}
