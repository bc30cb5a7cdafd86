//! Settings of the cluster, and of features that later versions bring.

use super::super::key::Key;
use super::super::kind::Kind;

pub(super) const CLUSTER_ABOUT: &str = "This version runs as a cluster of one broker. What asks for more is refused; what \
    only tunes replication between brokers is checked, has nothing to act on, and is named in a warning at start.";

const REPLICATION: &str = "replication, there is one broker";
const METADATA: &str = "the metadata log, it keeps its snapshots and memory within bounds by itself";

pub(super) const CLUSTER: &[Key] = &[
    Key::new("clustering.server.id", Kind::Token, "", "identity of the broker if its data directory holds none yet; the stored one wins afterwards")
        .flags("server-id", None, &["id"])
        .default_note("random"),
    Key::new("clustering.namespace", Kind::Token, "liftbridge-default", "isolates brokers that share a NATS; part of their internal subjects")
        .flags("namespace", None, &["ns"]),
    Key::new("clustering.raft.bootstrap.seed", Kind::Bool, "false", "found a new cluster; every broker of this version does, so both values are right")
        .flag("raft-bootstrap-seed"),
    Key::new("clustering.raft.bootstrap.peers", Kind::List, "", "identities of the brokers that found the cluster; this version takes its own `clustering.server.id` only")
        .flag("raft-bootstrap-peers"),
    Key::new("clustering.min.insync.replicas", Kind::Integer { min: 1, max: i64::MAX }, "1", "replicas that have to hold a record before it is committed")
        .not_built(&["1"], "replication is not available in this version, so nothing would ever be committed; remove it or set it to 1"),
    Key::new("clustering.raft.max.quorum.size", Kind::COUNT, "0", "most voters; 0 = no limit").idle("a second voter"),
    Key::new("clustering.raft.snapshot.retain", Kind::COUNT, "2", "snapshots to keep").idle(METADATA),
    Key::new("clustering.raft.snapshot.threshold", Kind::COUNT, "8192", "entries between snapshots").idle(METADATA),
    Key::new("clustering.raft.cache.size", Kind::COUNT, "512", "entries kept in memory").idle(METADATA),
    Key::new("clustering.replica.max.lag.time", Kind::DURATION, "15s", "time after which a replica that lags leaves the ISR").idle(REPLICATION),
    Key::new("clustering.replica.max.leader.timeout", Kind::DURATION, "15s", "time after which a silent leader is reported").idle(REPLICATION),
    Key::new("clustering.replica.max.idle.wait", Kind::DURATION, "10s", "time that a replica waits once it has caught up").idle(REPLICATION),
    Key::new("clustering.replica.fetch.timeout", Kind::DURATION, "3s", "time for one replication request").idle(REPLICATION),
    Key::new("metadata.cache.max.age", Kind::DURATION, "2m", "age of cached facts about other brokers").idle("other brokers"),
];

pub(super) const LATER_ABOUT: &str = "Settings of Liftbridge whose features this version does not have. They may stand in a \
    file as long as they are off.";

const ACTIVITY: &str = "the activity stream";
const GROUPS: &str = "consumer groups";

pub(super) const LATER: &[Key] = &[
    Key::new(
        "activity.stream.enabled",
        Kind::Bool,
        "false",
        "record what happens in the cluster as a stream",
    )
    .not_built(
        &["false"],
        "the activity stream is not available in this version; remove it",
    ),
    Key::new(
        "activity.stream.publish.timeout",
        Kind::DURATION,
        "5s",
        "time for one record of the activity stream",
    )
    .idle(ACTIVITY),
    Key::new(
        "activity.stream.publish.ack.policy",
        Kind::Choice(&["none", "leader", "all"]),
        "all",
        "ack policy of the activity stream",
    )
    .idle(ACTIVITY),
    Key::new(
        "groups.consumer.timeout",
        Kind::DURATION,
        "15s",
        "time after which a silent member leaves its consumer group",
    )
    .idle(GROUPS),
    Key::new(
        "groups.coordinator.timeout",
        Kind::DURATION,
        "15s",
        "time after which a silent coordinator is reported",
    )
    .idle(GROUPS),
    Key::new(
        "telemetry.enabled",
        Kind::Bool,
        "false",
        "Liftbridge's daily report to its vendor; Strandline never reports to anybody",
    )
    .not_built(
        &["false"],
        "strandline has no telemetry; remove it or set it to false",
    ),
    Key::new(
        "telemetry.interval.seconds",
        Kind::COUNT,
        "86400",
        "time between reports",
    )
    .idle("telemetry, and never will be"),
];
