//! Settings whose effect this version does not have.

use super::key::{Effect, Key};
use super::keys;
use super::problem::{Problem, Problems};
use super::value::{Raw, Value};
use super::values::{Setting, Values};

/// Refuses every setting that asks for what is not there, and returns what should be said about settings that have
/// nothing to act on. Nothing is accepted in silence.
pub(crate) fn check(values: &Values, problems: &mut Problems) -> Vec<String> {
    let mut notices = Vec::new();
    for key in keys::all() {
        let Some(setting) = values.get(key.name).filter(|setting| setting.origin.is_set()) else {
            continue;
        };
        let Some(value) = &setting.value else { continue };
        match key.effect {
            Effect::Built => {}
            Effect::NotBuilt { off, reason } if !is_any_of(key, value, off) => {
                problems.push(refused(key, setting, value, reason));
            }
            Effect::NotBuilt { .. } => {}
            Effect::Idle { .. } if is_any_of(key, value, &[key.default]) => {}
            Effect::Idle { what } => {
                notices.push(format!(
                    "{} ({}) has no effect: this version has not got {what}",
                    key.name, setting.origin
                ));
            }
        }
    }
    check_peers(values, problems);
    notices
}

fn is_any_of(key: &Key, value: &Value, texts: &[&str]) -> bool {
    texts
        .iter()
        .any(|text| key.kind.read(&Raw::Text((*text).to_owned())).as_ref() == Ok(value))
}

fn refused(key: &Key, setting: &Setting, value: &Value, reason: &'static str) -> Problem {
    let value = if key.secret {
        "***".to_owned()
    } else {
        value.to_string()
    };
    Problem::NotBuilt {
        origin: setting.origin.clone(),
        key: key.name.to_owned(),
        value,
        reason,
    }
}

/// A cluster that is founded by this broker alone is what there is.
fn check_peers(values: &Values, problems: &mut Problems) {
    const PEERS: &str = "clustering.raft.bootstrap.peers";
    let Some(peers) = values.list(PEERS) else { return };
    let own = values.text("clustering.server.id");
    if peers.iter().all(|peer| Some(peer.as_str()) == own) {
        return;
    }
    problems.push(Problem::NotBuilt {
        origin: values.origin(PEERS),
        key: PEERS.to_owned(),
        value: format!("[{}]", peers.join(", ")),
        reason: "clusters of several brokers are not available in this version; remove it, or name nothing but this broker's clustering.server.id",
    });
}

#[cfg(test)]
mod tests {
    use super::super::value::Origin;
    use super::*;

    fn check_all(settings: &[(&str, &str)]) -> (Vec<String>, Problems) {
        let (mut values, mut problems) = (Values::defaults(), Problems::default());
        let flag = |(name, text): &(&str, &str)| {
            (
                (*name).to_owned(),
                Some(Raw::Text((*text).to_owned())),
                Origin::Flag("--set".to_owned()),
            )
        };
        values.lay_over(settings.iter().map(flag).collect(), &mut problems);
        assert_eq!(problems, Problems::default());
        let notices = check(&values, &mut problems);
        (notices, problems)
    }

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        let cases = [
            ("streams.auto.pause.time", "1m"),
            ("tls.client.authz.enabled", "true"),
            ("tls.client.authz.model", "model.conf"),
            ("tls.client.authz.policy", "policy.csv"),
            ("clustering.min.insync.replicas", "2"),
            ("clustering.raft.bootstrap.peers", "a,b"),
            ("activity.stream.enabled", "true"),
            ("telemetry.enabled", "true"),
        ];
        for (name, value) in cases {
            let (_, problems) = check_all(&[(name, value)]);
            assert!(
                matches!(problems.0.as_slice(), [Problem::NotBuilt { key, .. }] if key == name),
                "{name}: {problems}"
            );
        }
    }

    #[test]
    fn the_values_that_ask_for_nothing_are_accepted_without_a_word() {
        let off = [
            ("streams.encryption", "false"),
            ("streams.auto.pause.time", "0"),
            ("tls.client.authz.enabled", "false"),
            ("clustering.min.insync.replicas", "1"),
            ("activity.stream.enabled", "off"),
            ("cursors.stream.partitions", "0"),
            ("telemetry.enabled", "false"),
            ("groups.consumer.timeout", "15s"),
        ];
        assert_eq!(check_all(&off), (Vec::new(), Problems::default()));
    }

    #[test]
    fn what_has_nothing_to_act_on_is_named() {
        let (notices, problems) = check_all(&[
            ("clustering.replica.max.lag.time", "20s"),
            ("groups.consumer.timeout", "1m"),
        ]);
        assert_eq!(problems, Problems::default());
        let expected = "clustering.replica.max.lag.time (--set) has no effect: this version has not got replication, there is one broker";
        assert_eq!(notices.first().map(String::as_str), Some(expected));
        assert_eq!(notices.len(), 2);
    }

    #[test]
    fn a_broker_may_be_its_own_only_peer() {
        let own = [
            ("clustering.server.id", "a"),
            ("clustering.raft.bootstrap.peers", "a"),
        ];
        assert_eq!(check_all(&own), (Vec::new(), Problems::default()));
    }
}
