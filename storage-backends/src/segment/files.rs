//! Names of segment files.

use strandline_core::Offset;

pub(super) use crate::files::{
    TEMPORARY, failed, is_no_room, read_whole, remove_if_there, replace, replace_cache, write_aside,
};

/// Identity of a segment within its log. The generation grows when compaction writes the segment anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SegmentId {
    pub(super) base: Offset,
    pub(super) generation: u32,
}

impl SegmentId {
    pub(super) fn data_file(self) -> String {
        format!("{:020}-{:08}.seg", self.base.get(), self.generation)
    }

    pub(super) fn index_file(self) -> String {
        format!("{:020}-{:08}.idx", self.base.get(), self.generation)
    }

    /// The segment that a file of this name belongs to, and whether it is the data file.
    pub(super) fn of_file(name: &str) -> Option<(Self, bool)> {
        let (stem, is_data) = match name.strip_suffix(".seg") {
            Some(stem) => (stem, true),
            None => (name.strip_suffix(".idx")?, false),
        };
        let (base, generation) = stem.split_once('-')?;
        if base.len() != 20 || generation.len() != 8 {
            return None;
        }
        let id = Self {
            base: Offset::new(base.parse().ok()?),
            generation: generation.parse().ok()?,
        };
        Some((id, is_data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_say_their_segment() {
        let id = SegmentId {
            base: Offset::new(42),
            generation: 3,
        };
        assert_eq!(SegmentId::of_file(&id.data_file()), Some((id, true)));
        assert_eq!(SegmentId::of_file(&id.index_file()), Some((id, false)));
        for name in [
            "state",
            "1-1.seg",
            "x.seg",
            "00000000000000000042-00000003.seg.tmp",
            "../../etc",
        ] {
            assert_eq!(SegmentId::of_file(name), None, "{name}");
        }
    }
}
