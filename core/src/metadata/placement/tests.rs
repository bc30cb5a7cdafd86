use std::collections::BTreeMap;

use super::*;
use crate::metadata::tests::{broker, cluster_of, definition};

fn counts(placement: &Placement) -> (BTreeMap<BrokerId, usize>, BTreeMap<BrokerId, usize>) {
    let (mut held, mut led) = (BTreeMap::new(), BTreeMap::new());
    for replicas in placement.partitions() {
        *led.entry(replicas[0].clone()).or_default() += 1;
        for replica in replicas {
            *held.entry(replica.clone()).or_default() += 1;
        }
    }
    (held, led)
}

/// Liftbridge chose brokers by counters that it did not update between the partitions of one stream, so all partitions
/// of a new stream landed on the same brokers, led by the same one.
#[test]
fn the_partitions_of_one_stream_spread_over_brokers_and_leaders() {
    let placement = Planner::new(&cluster_of(3)).plan(&definition("s", 6, 2)).unwrap();
    let (held, led) = counts(&placement);
    for number in 0..3 {
        assert_eq!(held[&broker(number)], 4, "{placement:?}");
        assert_eq!(led[&broker(number)], 2, "{placement:?}");
    }
}

#[test]
fn streams_of_one_partition_spread_as_well() {
    let mut planner = Planner::new(&cluster_of(4));
    let leaders: std::collections::BTreeSet<_> = (0..4)
        .map(|_| planner.plan(&definition("s", 1, 1)).unwrap().partitions()[0][0].clone())
        .collect();
    assert_eq!(leaders.len(), 4);
}

#[test]
fn replicas_of_a_partition_are_distinct() {
    let placement = Planner::new(&cluster_of(5)).plan(&definition("s", 7, 5)).unwrap();
    for replicas in placement.partitions() {
        let distinct: std::collections::BTreeSet<_> = replicas.iter().collect();
        assert_eq!(distinct.len(), 5);
    }
}

#[test]
fn what_cannot_be_placed_is_refused_and_not_counted() {
    let mut planner = Planner::new(&cluster_of(1));
    let refused = planner.plan(&definition("s", 1, 2));
    assert_eq!(
        refused,
        Err(Rejection::InvalidReplicationFactor {
            factor: 2,
            brokers: 1
        })
    );
    assert!(planner.plan(&definition("s", 1, 0)).is_err());
    assert!(planner.plan(&definition("s", 0, 1)).is_err());
    assert!(planner.plan(&definition("s", MAX_PARTITIONS + 1, 1)).is_err());
    assert!(planner.loads.values().all(|load| *load == Load::default()));
}
