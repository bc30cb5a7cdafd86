//! An open file of the model.

use std::io;

use strandline_core::disk::DiskFile;

use super::SimDisk;
use super::image::Operation;

/// A file by its number: it may be renamed or unlinked meanwhile.
#[derive(Debug)]
pub(super) struct File {
    pub(super) disk: SimDisk,
    pub(super) file: usize,
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        self.disk.edit(|world| {
            Ok(world
                .image
                .files
                .get(&self.file)
                .map_or(0, |bytes| bytes.len() as u64))
        })
    }

    fn read_at(&self, position: u64, max_bytes: usize, out: &mut Vec<u8>) -> io::Result<usize> {
        self.disk.edit(|world| {
            let content = world
                .image
                .files
                .get(&self.file)
                .map_or(&[][..], |content| content.as_slice());
            let rest = content.get(position as usize..).unwrap_or_default();
            let found = &rest[..rest.len().min(max_bytes)];
            out.extend_from_slice(found);
            Ok(found.len())
        })
    }

    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.edit(|world| {
            let position = position as usize;
            world.check_room(self.file, position + bytes.len())?;
            world.attempt(Operation::Write {
                file: self.file,
                position,
                bytes: bytes.into(),
            })
        })
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.disk.edit(|world| {
            world.attempt(Operation::SetLen {
                file: self.file,
                bytes: bytes as usize,
            })
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk
            .edit(|world| world.attempt(Operation::Sync { file: self.file }))
    }
}
