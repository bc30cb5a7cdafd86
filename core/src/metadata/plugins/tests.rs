//! Tests of plugins in the state machine.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::tests::{broker, cluster_of, definition};
use super::super::{Command, CommandBatch, Outcome, Planner, Rejection, State, apply};
use super::*;
use crate::plugin::{
    Attachment, CanaryMode, ContractVersion, ErrorHandling, ErrorPolicy, ModuleFacts, ModuleName,
    PluginLimits, PluginModule, Sha256, Side, Variant, World,
};

fn name(text: &str) -> ModuleName {
    ModuleName::new(text).unwrap()
}

fn stream(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

fn facts(byte: u8, world: World) -> ModuleFacts {
    ModuleFacts {
        sha256: Sha256::new([byte; 32]),
        bytes: 100,
        world,
        contract: ContractVersion { major: 1, minor: 0 },
        imports: vec!["strandline:plugin/log@1.0.0".to_owned()],
    }
}

fn command(change: PluginChange) -> Command {
    Command::Plugins {
        change,
        by: "ann".to_owned(),
        now: Timestamp::from_nanos(7),
    }
}

fn asked(state: &mut State, change: PluginChange) -> Result<PluginOutcome, Rejection> {
    let before = state.clone();
    let index = state.revision() + 1;
    let outcome = apply(state, index, &command(change));
    assert_eq!(state.verify(), Ok(()));
    match outcome {
        Ok(Outcome::Plugin(outcome)) => Ok(outcome),
        Ok(other) => panic!("{other:?}"),
        Err(rejection) => {
            assert_eq!(*state, before, "a rejected command changes nothing");
            Err(rejection)
        }
    }
}

fn refused(state: &mut State, change: PluginChange) -> String {
    asked(state, change).unwrap_err().to_string()
}

fn push(state: &mut State, module: &str, byte: u8, world: World) -> u32 {
    let (name, facts) = (name(module), facts(byte, world));
    match asked(state, PluginChange::Push { name, facts }) {
        Ok(PluginOutcome::Pushed { version, .. }) => version.number,
        other => panic!("{other:?}"),
    }
}

fn variant(version: u32) -> Variant {
    Variant {
        version,
        settings: "{}".to_owned(),
    }
}

fn new_attachment(to: &str, module: &str, version: u32) -> NewAttachment {
    NewAttachment {
        stream: stream(to),
        side: Side::Write,
        order: 0,
        module: name(module),
        variant: variant(version),
        on_error: ErrorHandling {
            policy: ErrorPolicy::Fail,
            dead_letters: None,
        },
        limits: PluginLimits::default(),
        debug: false,
    }
}

fn entry(outcome: Result<PluginOutcome, Rejection>) -> Arc<Attachment> {
    match outcome {
        Ok(PluginOutcome::Attached(entry) | PluginOutcome::Detached(entry)) => entry,
        other => panic!("{other:?}"),
    }
}

fn attach(state: &mut State, to: &str, module: &str, version: u32) -> AttachmentId {
    entry(asked(
        state,
        PluginChange::Attach(new_attachment(to, module, version)),
    ))
    .id
}

fn canary(attachment: AttachmentId, version: u32, mode: CanaryMode) -> PluginChange {
    PluginChange::StartCanary {
        attachment,
        candidate: variant(version),
        mode,
    }
}

/// A broker, the streams a and b, the filter f in three versions and the key extractor k.
fn world() -> State {
    world_of(&["a", "b"])
}

/// The same with these streams.
fn world_of(streams: &[&str]) -> State {
    let mut state = cluster_of(1);
    for stream in streams {
        let definition = definition(stream, 1, 1);
        let placement = Planner::new(&state).plan(&definition).unwrap();
        let now = Timestamp::from_nanos(5);
        let create = Command::CreateStream {
            definition,
            placement,
            now,
        };
        apply(&mut state, 10, &create).unwrap();
    }
    for byte in 1..4 {
        assert_eq!(push(&mut state, "f", byte, World::Filter), u32::from(byte));
    }
    push(&mut state, "k", 9, World::KeyExtractor);
    state
}

#[test]
fn a_version_is_given_once_and_the_same_bytes_are_the_same_version() {
    let mut state = world();
    let again = PluginChange::Push {
        name: name("f"),
        facts: facts(2, World::Filter),
    };
    let outcome = asked(&mut state, again).unwrap();
    assert!(matches!(outcome, PluginOutcome::Pushed { version, is_new: false } if version.number == 2));
    let delete = |version| PluginChange::Delete {
        name: name("f"),
        version,
    };
    let deleted = asked(&mut state, delete(Some(3))).unwrap();
    let unused = vec![Sha256::new([3; 32])];
    assert_eq!(deleted, PluginOutcome::Deleted { versions: 1, unused });
    assert_eq!(
        push(&mut state, "f", 3, World::Filter),
        4,
        "3 is never given again"
    );
    asked(&mut state, delete(None)).unwrap();
    assert_eq!(state.plugins().modules().count(), 1);
    assert_eq!(refused(&mut state, delete(None)), "no such plugin: f");
    assert_eq!(push(&mut state, "f", 1, World::Filter), 5);
    let history = &state.plugins().module("f").unwrap().history;
    let words: Vec<_> = history.iter().map(|event| event.action.word()).collect();
    assert_eq!(
        words,
        [
            "pushed", "pushed", "pushed", "deleted", "pushed", "deleted", "pushed"
        ]
    );
    assert_eq!((history[0].by.as_str(), history[0].at.nanos()), ("ann", 7));
}

#[test]
fn bytes_are_to_be_removed_once_no_version_has_them_and_not_when_one_has_them_again() {
    let mut state = world();
    push(&mut state, "g", 1, World::Filter);
    let delete = |module: &str| PluginChange::Delete {
        name: name(module),
        version: None,
    };
    let pending = |state: &State| state.plugins().pending_removals(&broker(0)).collect::<Vec<_>>();
    asked(&mut state, delete("f")).unwrap();
    let sum = |byte| Sha256::new([byte; 32]);
    assert_eq!(pending(&state), [sum(2), sum(3)], "g has the first one's");
    push(&mut state, "h", 3, World::Filter);
    assert_eq!(pending(&state), [sum(2)]);
    let removed = |modules| Command::ModulesRemoved {
        broker: broker(0),
        modules,
    };
    let outcome = apply(&mut state, 90, &removed(vec![sum(1), sum(2), sum(77)]));
    assert_eq!(outcome, Ok(Outcome::ModulesRemoved { modules: 1 }));
    assert_eq!(pending(&state), []);
}

#[test]
fn chains_are_in_order_and_go_with_their_stream() {
    let mut state = world();
    let first = attach(&mut state, "a", "f", 1);
    let second = attach(&mut state, "a", "f", 1);
    let mut early = new_attachment("a", "f", 2);
    early.order = -5;
    let early = entry(asked(&mut state, PluginChange::Attach(early))).id;
    let mut key = new_attachment("a", "k", 1);
    key.side = Side::Key;
    asked(&mut state, PluginChange::Attach(key)).unwrap();
    let chain = |state: &State, side| {
        let chain = state.plugins().chain(&stream("a"), side);
        chain.iter().map(|entry| entry.id).collect::<Vec<_>>()
    };
    assert_eq!(chain(&state, Side::Write), [early, first, second]);
    assert_eq!(chain(&state, Side::Key).len(), 1);
    assert_eq!(chain(&state, Side::Read), []);
    let later = PluginChange::Change {
        attachment: early,
        change: AttachmentChange {
            order: Some(1),
            ..AttachmentChange::default()
        },
    };
    asked(&mut state, later).unwrap();
    assert_eq!(chain(&state, Side::Write), [first, second, early]);
    let delete = Command::DeleteStream { name: stream("a") };
    apply(&mut state, 90, &delete).unwrap();
    assert_eq!(state.plugins().attachments().len(), 0);
    assert_eq!(state.verify(), Ok(()));
    let next = attach(&mut state, "b", "f", 1);
    assert_eq!(next.get(), 5, "identities are never given again");
}

#[test]
fn a_canary_is_promoted_and_rolled_back_to_what_was_active_before() {
    let mut state = world();
    let id = attach(&mut state, "a", "f", 1);
    let promote = PluginChange::Promote { attachment: id };
    let back = PluginChange::RollBack { attachment: id };
    let no_canary = "attachment 1 has no canary to promote";
    assert_eq!(refused(&mut state, promote.clone()), no_canary);
    let trying = entry(asked(&mut state, canary(id, 2, CanaryMode::Percent(10))));
    assert_eq!((trying.active.version, trying.previous.as_ref()), (1, None));
    let runs = "attachment 1 tries version 2 as a canary; promote it or roll it back first";
    assert_eq!(refused(&mut state, canary(id, 3, CanaryMode::Shadow)), runs);
    let promoted = entry(asked(&mut state, promote));
    assert_eq!(
        (promoted.active.version, &promoted.previous, &promoted.canary),
        (2, &Some(variant(1)), &None)
    );
    asked(&mut state, canary(id, 3, CanaryMode::Shadow)).unwrap();
    let withdrawn = entry(asked(&mut state, back.clone()));
    assert_eq!((withdrawn.active.version, &withdrawn.canary), (2, &None));
    let rolled_back = entry(asked(&mut state, back.clone()));
    assert_eq!((rolled_back.active.version, &rolled_back.previous), (1, &None));
    assert!(refused(&mut state, back).contains("nothing to roll back to"));
    let words: Vec<_> = rolled_back
        .history
        .iter()
        .map(|event| event.action.word())
        .collect();
    let expected = [
        "attached",
        "canary started",
        "promoted",
        "canary started",
        "canary withdrawn",
        "rolled back",
    ];
    assert_eq!(words, expected);
    assert_eq!(rolled_back.history[1].version, Some(2), "the candidate's");
}

#[test]
fn what_an_attachment_holds_on_to_is_not_deleted() {
    let mut state = world();
    let id = attach(&mut state, "a", "f", 1);
    let delete = |version| PluginChange::Delete {
        name: name("f"),
        version,
    };
    let in_use = |version, role| {
        format!("plugin f version {version} is in use by attachment 1 of stream a ({role}); detach it first")
    };
    assert_eq!(refused(&mut state, delete(Some(1))), in_use(1, "active"));
    assert_eq!(refused(&mut state, delete(None)), in_use(1, "active"));
    asked(&mut state, canary(id, 2, CanaryMode::Shadow)).unwrap();
    assert_eq!(refused(&mut state, delete(Some(2))), in_use(2, "as its canary"));
    asked(&mut state, PluginChange::Promote { attachment: id }).unwrap();
    let role = "a rollback would go back to it";
    assert_eq!(refused(&mut state, delete(Some(1))), in_use(1, role));
    asked(&mut state, delete(Some(3))).unwrap();
    let detached = entry(asked(&mut state, PluginChange::Detach { attachment: id }));
    assert_eq!(detached.history.last().unwrap().action, PluginAction::Detached);
    asked(&mut state, delete(None)).unwrap();
}

#[test]
fn attachments_that_make_no_sense_are_refused_by_name() {
    let mut state = world();
    let mut check = |change: &dyn Fn(&mut NewAttachment), text: &str| {
        let mut wanted = new_attachment("a", "f", 1);
        change(&mut wanted);
        assert_eq!(refused(&mut state, PluginChange::Attach(wanted)), text);
    };
    check(&|wanted| wanted.stream = stream("c"), "stream does not exist: c");
    check(
        &|wanted| wanted.stream = stream("__cursors"),
        "stream is reserved: __cursors",
    );
    check(&|wanted| wanted.module = name("x"), "no such plugin: x");
    check(&|wanted| wanted.variant.version = 9, "plugin f has no version 9");
    let other_side = "plugin f version 1 is a filter: it cannot act on the key side of a stream";
    check(&|wanted| wanted.side = Side::Key, other_side);
    let other_world = "plugin k version 1 is a key-extractor: it cannot act on the write side of a stream";
    check(&|wanted| wanted.module = name("k"), other_world);
    let long = " ".repeat(Variant::MAX_SETTINGS_BYTES + 1);
    let too_long = "the settings of a plugin must be at most 65536 bytes";
    check(&|wanted| wanted.variant.settings.clone_from(&long), too_long);
    let unnamed = "the stream for dead letters must be named for the policy dead-letter";
    check(
        &|wanted| wanted.on_error.policy = ErrorPolicy::DeadLetter,
        unnamed,
    );
    let itself = "the stream for dead letters must be another one than the stream itself";
    check(&|wanted| wanted.on_error.dead_letters = Some(stream("a")), itself);
    check(
        &|wanted| wanted.on_error.dead_letters = Some(stream("c")),
        "stream does not exist: c",
    );
    let read = "the stream for dead letters must be left out on the read side, which has no dead letters";
    check(
        &|wanted| {
            wanted.side = Side::Read;
            wanted.on_error.dead_letters = Some(stream("b"));
        },
        read,
    );
    check(
        &|wanted| wanted.limits.budget_ms = Some(9),
        "the time for a batch must be 10 to 60000 ms",
    );
    check(
        &|wanted| wanted.limits.memory_bytes = Some(1),
        "the memory of a plugin must be 65536 to 4294967296 bytes",
    );
    for percent in [0, 100, 255] {
        let id = attach(&mut state, "a", "f", 1);
        let text = refused(&mut state, canary(id, 2, CanaryMode::Percent(percent)));
        assert!(text.contains("1 to 99 percent"), "{text}");
        assert!(refused(&mut state, canary(id, 1, CanaryMode::Shadow)).contains("another version"));
    }
    let caller = Command::Plugins {
        change: PluginChange::Promote {
            attachment: AttachmentId::new(1),
        },
        by: String::new(),
        now: Timestamp::ZERO,
    };
    assert!(apply(&mut state, 99, &caller).is_err());
}

#[test]
fn a_stream_that_takes_dead_letters_stays() {
    let mut state = world();
    let mut wanted = new_attachment("a", "f", 1);
    wanted.on_error = ErrorHandling {
        policy: ErrorPolicy::DeadLetter,
        dead_letters: Some(stream("b")),
    };
    asked(&mut state, PluginChange::Attach(wanted)).unwrap();
    let delete = |name| Command::DeleteStream { name: stream(name) };
    let refused = apply(&mut state, 90, &delete("b")).unwrap_err().to_string();
    let text =
        "stream b takes the dead letters of attachment 1 of stream a; detach it or send them elsewhere first";
    assert_eq!(refused, text);
    apply(&mut state, 91, &delete("a")).unwrap();
    apply(&mut state, 92, &delete("b")).unwrap();
}

/// Two streams could take each other's dead letters. Each waited with everything behind a dead letter until it was stored, and so
/// neither looked at the other's, until publishers of both were refused half a minute later.
#[test]
fn dead_letters_go_in_no_circle() {
    let mut state = world_of(&["a", "b", "c"]);
    let mut letters = |from: &str, to: &str| {
        let mut wanted = new_attachment(from, "f", 1);
        wanted.on_error.dead_letters = Some(stream(to));
        asked(&mut state, PluginChange::Attach(wanted)).map_err(|error| error.to_string())
    };
    let circle =
        "the stream for dead letters must be one whose own dead letters do not come back to the stream";
    letters("a", "b").unwrap();
    assert_eq!(letters("b", "a").unwrap_err(), circle);
    letters("b", "c").unwrap();
    assert_eq!(letters("c", "a").unwrap_err(), circle);
    letters("a", "c").unwrap();
    let id = attach(&mut state, "c", "f", 1);
    let change = AttachmentChange {
        on_error: Some(ErrorHandling {
            policy: ErrorPolicy::DeadLetter,
            dead_letters: Some(stream("a")),
        }),
        ..AttachmentChange::default()
    };
    let change = PluginChange::Change {
        attachment: id,
        change,
    };
    assert_eq!(refused(&mut state, change), circle);
}

#[test]
fn nothing_grows_without_bounds() {
    let mut state = world();
    let id = (0..Attachment::MAX_PER_STREAM)
        .map(|_| attach(&mut state, "a", "f", 1))
        .last()
        .unwrap();
    let more = PluginChange::Attach(new_attachment("a", "f", 1));
    assert_eq!(
        refused(&mut state, more),
        "there are at most 16 attachments of a stream"
    );
    for number in 0..200_u32 {
        let change = AttachmentChange {
            debug: Some(number % 2 == 0),
            ..AttachmentChange::default()
        };
        asked(
            &mut state,
            PluginChange::Change {
                attachment: id,
                change,
            },
        )
        .unwrap();
    }
    let kept = state.plugins().attachment(id).unwrap();
    assert_eq!(kept.history.len(), PluginEvent::MAX_KEPT);
    assert_eq!(
        state.plugins().module("f").unwrap().history.len(),
        PluginEvent::MAX_KEPT
    );
    for byte in 10..(10 + PluginModule::MAX_VERSIONS as u8 - 3) {
        push(&mut state, "f", byte, World::Filter);
    }
    let facts = facts(200, World::Filter);
    let text = refused(
        &mut state,
        PluginChange::Push {
            name: name("f"),
            facts,
        },
    );
    assert!(
        text.starts_with("there are at most 64 versions of plugin f"),
        "{text}"
    );
}

#[test]
fn names_of_deleted_modules_are_remembered_up_to_a_limit() {
    let mut state = cluster_of(1);
    for number in 0..=PluginRegistry::MAX_MODULES {
        let module = format!("m{number}");
        push(&mut state, &module, 1, World::Filter);
        let change = PluginChange::Delete {
            name: name(&module),
            version: None,
        };
        let now = Timestamp::from_nanos(i64::try_from(number).unwrap());
        let delete = Command::Plugins {
            change,
            by: "ann".to_owned(),
            now,
        };
        apply(&mut state, 1, &delete).unwrap();
    }
    assert!(state.plugins().module("m0").is_none(), "the oldest");
    assert!(state.plugins().module("m1").is_some());
    assert_eq!(state.plugins().modules().count(), 0);
}

#[test]
fn a_change_that_changes_nothing_is_no_event() {
    let mut state = world();
    let id = attach(&mut state, "a", "f", 1);
    let change = AttachmentChange {
        variant: Some(variant(1)),
        debug: Some(false),
        ..AttachmentChange::default()
    };
    let same = entry(asked(
        &mut state,
        PluginChange::Change {
            attachment: id,
            change,
        },
    ));
    assert_eq!(same.history.len(), 1);
    let change = AttachmentChange {
        variant: Some(variant(3)),
        ..AttachmentChange::default()
    };
    let replaced = entry(asked(
        &mut state,
        PluginChange::Change {
            attachment: id,
            change,
        },
    ));
    assert_eq!(
        (replaced.active.version, &replaced.previous),
        (3, &Some(variant(1)))
    );
    assert!(replaced.revision > same.revision);
}

/// The form in which changes of plugins stand in metadata logs and snapshots: every later version must read it.
#[test]
fn the_stored_form_of_plugins_stays_readable() {
    let sum = "07".repeat(32);
    let batch = format!(
        concat!(
            r#"[4,[{{"plugins":{{"change":{{"push":{{"name":"f","facts":{{"sha256":"{sum}","bytes":100,"world":"filter","#,
            r#""contract":{{"major":1,"minor":0}},"imports":["wasi:cli/exit@0.2.0"]}}}}}},"by":"ann","now":3}}}},"#,
            r#"{{"plugins":{{"change":{{"attach":{{"stream":"a","side":"write","order":-1,"module":"f","#,
            r#""variant":{{"version":1,"settings":"{{}}"}},"on_error":{{"policy":"dead-letter","dead_letters":"b"}},"#,
            r#""limits":{{"memory_bytes":65536}},"debug":true}}}},"by":"ann","now":4}}}},"#,
            r#"{{"plugins":{{"change":{{"start_canary":{{"attachment":1,"candidate":{{"version":1,"settings":"[]"}},"#,
            r#""mode":{{"percent":5}}}}}},"by":"bob","now":5}}}},"#,
            r#"{{"modules_removed":{{"broker":"b0","modules":["{sum}"]}}}}]]"#,
        ),
        sum = sum
    );
    let commands: CommandBatch = serde_json::from_str(&batch).unwrap();
    assert_eq!(serde_json::to_string(&commands).unwrap(), batch);
    let mut state = world();
    for command in commands.commands() {
        apply(&mut state, 60, command).unwrap();
    }
    let stored = serde_json::to_string(&state).unwrap();
    let attachment = concat!(
        r#""attachments":[{"id":1,"stream":"a","side":"write","order":-1,"module":"f","#,
        r#""active":{"version":1,"settings":"{}"},"canary":{"candidate":{"version":1,"settings":"[]"},"#,
        r#""mode":{"percent":5},"since":5},"on_error":{"policy":"dead-letter","dead_letters":"b"},"#,
        r#""limits":{"memory_bytes":65536},"debug":true,"revision":60,"attached":4,"#,
        r#""history":[{"at":4,"by":"ann","action":"attached","version":1,"attachment":1,"stream":"a"},"#,
    );
    assert!(stored.contains(attachment), "{stored}");
    assert!(stored.contains(r#"{"number":4,"sha256":"0707"#), "{stored}");
    assert_eq!(serde_json::from_str::<State>(&stored).unwrap(), state);
}

#[test]
fn stored_plugins_that_contradict_themselves_are_refused() {
    let mut state = world();
    attach(&mut state, "a", "f", 2);
    let stored = serde_json::to_string(&state).unwrap();
    let changes = [
        (r#""last_attachment":1"#, r#""last_attachment":0"#),
        (r#""id":1,"stream":"a""#, r#""id":1,"stream":"c""#),
        (r#""active":{"version":2"#, r#""active":{"version":7"#),
        (r#""world":"filter""#, r#""world":"key-extractor""#),
        (r#""last_version":3"#, r#""last_version":2"#),
        (r#""number":2"#, r#""number":1"#),
        (r#""name":"k""#, r#""name":"f""#),
    ];
    for (good, bad) in changes {
        let damaged = match good {
            r#""world":"filter""# => stored.replace(good, bad),
            _ => stored.replacen(good, bad, 1),
        };
        assert_ne!(damaged, stored, "{good}");
        assert!(serde_json::from_str::<State>(&damaged).is_err(), "{bad}");
    }
}

/// A state without plugins, as versions before them wrote it.
#[test]
fn a_state_of_format_2_is_read() {
    let stored = r#"[2,{"revision":3,"cluster":"c-1","next_log":0,"processes":1,"keys":0,"brokers":[],"streams":[],"removals":[]}]"#;
    let state: State = serde_json::from_str(stored).unwrap();
    assert_eq!(**state.plugins(), PluginRegistry::default());
}

/// Any change of plugins on a few streams, modules and attachments, so that most of them meet.
pub(in crate::metadata) fn any_change() -> impl Strategy<Value = Command> {
    let module = || prop::sample::select(vec!["f", "g"]).prop_map(name);
    let id = || (0_u64..6).prop_map(AttachmentId::new);
    let any_variant =
        || (1_u32..4, "[ x]{0,3}").prop_map(|(version, settings)| Variant { version, settings });
    let streams = || prop::sample::select(vec!["a", "b", "c", "__cursors"]).prop_map(stream);
    let world = prop::sample::select(vec![World::Filter, World::Filter, World::KeyExtractor]);
    let side = prop::sample::select(vec![Side::Write, Side::Key, Side::Read]);
    let policy = prop::sample::select(vec![ErrorPolicy::Drop, ErrorPolicy::DeadLetter]);
    let errors = (policy, prop::option::of(streams()))
        .prop_map(|(policy, dead_letters)| ErrorHandling { policy, dead_letters })
        .boxed();
    let attach = (
        streams(),
        side,
        -1_i32..2,
        module(),
        any_variant(),
        errors.clone(),
    )
        .prop_map(|(stream, side, order, module, variant, on_error)| {
            PluginChange::Attach(NewAttachment {
                stream,
                side,
                order,
                module,
                variant,
                on_error,
                limits: PluginLimits::default(),
                debug: false,
            })
        });
    let mode = (0_u8..60).prop_map(|percent| match percent {
        50.. => CanaryMode::Shadow,
        percent => CanaryMode::Percent(percent),
    });
    let change =
        (prop::option::of(any_variant()), prop::option::of(errors)).prop_map(|(variant, on_error)| {
            AttachmentChange {
                variant,
                on_error,
                ..AttachmentChange::default()
            }
        });
    let change = prop_oneof![
        4 => (module(), 0_u8..8, world)
            .prop_map(|(name, byte, world)| PluginChange::Push { name, facts: facts(byte, world) }),
        1 => (module(), prop::option::of(1_u32..4))
            .prop_map(|(name, version)| PluginChange::Delete { name, version }),
        6 => attach,
        1 => id().prop_map(|attachment| PluginChange::Detach { attachment }),
        1 => (id(), change).prop_map(|(attachment, change)| PluginChange::Change { attachment, change }),
        2 => (id(), any_variant(), mode).prop_map(|(attachment, candidate, mode)| PluginChange::StartCanary {
            attachment,
            candidate,
            mode
        }),
        1 => id().prop_map(|attachment| PluginChange::Promote { attachment }),
        1 => id().prop_map(|attachment| PluginChange::RollBack { attachment }),
    ];
    let removed = prop::collection::vec((0_u8..8).prop_map(|byte| Sha256::new([byte; 32])), 0..3);
    prop_oneof![
        9 => change.prop_map(command),
        1 => removed.prop_map(|modules| Command::ModulesRemoved { broker: broker(0), modules }),
    ]
}
