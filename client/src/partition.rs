//! Which partition a message goes to.

use crate::message::Message;

/// How a publisher spreads its messages over a stream's partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Partitioning {
    /// By key where there is one, else in turn.
    #[default]
    KeyOrRoundRobin,
    /// In turn.
    RoundRobin,
    /// Always this partition.
    Fixed(u32),
}

/// The partition of a key, as Liftbridge's Go client chooses it: CRC-32 (IEEE) modulo the number of partitions.
pub fn key_partition(key: &[u8], partitions: u32) -> u32 {
    crc32(key) % partitions.max(1)
}

/// Chooses partitions for one publisher.
#[derive(Clone, Debug)]
pub(crate) struct Partitioner {
    partitioning: Partitioning,
    partitions: u32,
    next: u32,
}

impl Partitioner {
    pub(crate) fn new(partitioning: Partitioning, partitions: u32) -> Self {
        Self {
            partitioning,
            partitions: partitions.max(1),
            next: 0,
        }
    }

    pub(crate) fn choose(&mut self, message: &Message) -> u32 {
        if let Some(partition) = message.partition {
            return partition;
        }
        match self.partitioning {
            Partitioning::Fixed(partition) => partition,
            Partitioning::KeyOrRoundRobin if !message.key.is_empty() => {
                key_partition(&message.key, self.partitions)
            }
            _ => {
                let chosen = self.next % self.partitions;
                self.next = self.next.wrapping_add(1);
                chosen
            }
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 0 {
                crc >> 1
            } else {
                crc >> 1 ^ 0xedb8_8320
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_in_the_go_client() {
        assert_eq!(
            (crc32(b"foo"), crc32(b"bar"), crc32(b"")),
            (2_356_372_769, 1_996_459_178, 0)
        );
        assert_eq!(key_partition(b"abc,foo,2", 3), 1);
    }

    #[test]
    fn messages_without_a_key_go_round() {
        let mut partitioner = Partitioner::new(Partitioning::default(), 3);
        let chosen: Vec<_> = (0..4).map(|_| partitioner.choose(&Message::new("x"))).collect();
        assert_eq!(chosen, [0, 1, 2, 0]);
        assert_eq!(partitioner.choose(&Message::new("x").partition(7)), 7);
        assert_eq!(
            partitioner.choose(&Message::new("x").key("foo")),
            2_356_372_769 % 3
        );
    }
}
