//! A directory as a bucket. `object_store`'s has no conditional replace: this one has, with a lock and the content's hash as version.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UpdateVersion,
};
use sha2::{Digest as _, Sha256};

/// Held while an object is compared and replaced. Beside the clusters' directories, so that no listing of one shows it.
const LOCK_FILE: &str = ".strandline-lock";
const STORE: &str = "directory";

/// The directory.
#[derive(Debug)]
pub(super) struct Directory {
    files: LocalFileSystem,
    root: PathBuf,
}

impl Directory {
    /// Opens the directory, which must be there: a mount that failed is not to be filled.
    pub(super) fn open(root: &FilePath) -> Result<Self> {
        Ok(Self {
            files: LocalFileSystem::new_with_prefix(root)?.with_fsync(true),
            root: root.to_owned(),
        })
    }

    /// That the directory is still there: without it every object would look like one that never was, and a write would make it
    /// anew, below the mount point of what is gone.
    fn check_there(&self) -> Result<()> {
        match std::fs::metadata(&self.root) {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(failed(&io::Error::other(format!(
                "{} is no directory",
                self.root.display()
            )))),
            Err(error) => {
                let text = format!("the directory {} is not there: {error}", self.root.display());
                Err(failed(&io::Error::other(text)))
            }
        }
    }

    /// Writes a file. Not as `object_store` does it: that makes all directories that are missing, also those above our own.
    async fn write(&self, location: &Path, payload: PutPayload, how: Write) -> Result<PutResult> {
        let path = self.files.path_to_filesystem(location)?;
        let (root, key) = (self.root.clone(), location.to_string());
        let work = move || {
            let bytes = Bytes::from(payload);
            match put_durably(&root, &path, &bytes, how) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::AlreadyExists {
                    path: key,
                    source: error.into(),
                }),
                Err(error) => Err(failed(&error)),
                Ok(()) => Ok(put_result(hash(&bytes))),
            }
        };
        tokio::task::spawn_blocking(work).await?
    }

    async fn replace(
        &self,
        location: &Path,
        payload: PutPayload,
        version: UpdateVersion,
    ) -> Result<PutResult> {
        let path = self.files.path_to_filesystem(location)?;
        let (root, key) = (self.root.clone(), location.to_string());
        let work = move || {
            let _lock = lock(&root).map_err(|error| failed(&error))?;
            let current = match std::fs::read(&path) {
                Ok(current) => Some(hash(&current)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(failed(&error)),
            };
            if current.is_none() || current != version.e_tag {
                return Err(Error::Precondition {
                    path: key,
                    source: "the file has another content".into(),
                });
            }
            let bytes = Bytes::from(payload);
            write_durably(&path, &bytes).map_err(|error| failed(&error))?;
            Ok(put_result(hash(&bytes)))
        };
        tokio::task::spawn_blocking(work).await?
    }
}

/// What becomes of a file that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Write {
    Over,
    New,
}

/// Writes a file below `root`, whole or not at all; it survives power loss when this returns.
fn put_durably(root: &FilePath, path: &FilePath, bytes: &[u8], how: Write) -> io::Result<()> {
    let parent = path.parent().unwrap_or(root);
    make_directories(root, parent)?;
    let (mut file, staged) = stage(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let placed = written.and_then(|()| match how {
        Write::Over => std::fs::rename(&staged, path),
        Write::New => std::fs::hard_link(&staged, path),
    });
    if how == Write::New || placed.is_err() {
        // What is left of it is in no listing.
        let _ = std::fs::remove_file(&staged);
    }
    placed.and_then(|()| File::open(parent)?.sync_all())
}

/// Makes the directories from `root` on, which itself has to be there, down to `directory`.
fn make_directories(root: &FilePath, directory: &FilePath) -> io::Result<()> {
    let below = directory.strip_prefix(root).map_err(io::Error::other)?;
    let mut made = root.to_owned();
    for part in below {
        let parent = made.clone();
        made.push(part);
        match std::fs::create_dir(&made) {
            Ok(()) => File::open(parent)?.sync_all()?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A file beside the one that is to be, that nobody else has. Listings leave names out that end so.
fn stage(path: &FilePath) -> io::Result<(File, PathBuf)> {
    let mut first = [0; 4];
    // Without randomness it takes a few more tries.
    let _ = getrandom::fill(&mut first);
    let mut number = u32::from_le_bytes(first).max(1);
    loop {
        let mut staged = path.as_os_str().to_owned();
        staged.push(format!("#{number}"));
        match OpenOptions::new().write(true).create_new(true).open(&staged) {
            Ok(file) => return Ok((file, staged.into())),
            // Somebody's, or left over from a crash.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number = number.wrapping_add(1).max(1);
            }
            Err(error) => return Err(error),
        }
    }
}

fn put_result(e_tag: String) -> PutResult {
    PutResult {
        e_tag: Some(e_tag),
        version: None,
        extensions: Default::default(),
    }
}

fn failed(error: &io::Error) -> Error {
    let text = error.to_string();
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Error::PermissionDenied {
            path: String::new(),
            source: text.into(),
        },
        _ => Error::Generic {
            store: STORE,
            source: text.into(),
        },
    }
}

fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Waits for all others, in this process and elsewhere. Given back when the file is closed.
fn lock(root: &FilePath) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(root.join(LOCK_FILE))?;
    file.lock()?;
    Ok(file)
}

/// Replaces the file whole or not at all; it survives power loss when this returns.
fn write_durably(path: &FilePath, bytes: &[u8]) -> io::Result<()> {
    let mut staged = path.as_os_str().to_owned();
    // Listings leave names out that end so. Only the holder of the lock writes it.
    staged.push("#0");
    let mut file = File::create(&staged)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&staged, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "directory {}", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for Directory {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.check_there()?;
        match opts.mode {
            PutMode::Update(version) => self.replace(location, payload, version).await,
            PutMode::Overwrite => self.write(location, payload, Write::Over).await,
            PutMode::Create => self.write(location, payload, Write::New).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.check_there()?;
        self.files.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.check_there()?;
        let wants_whole = options.range.is_none() && !options.head;
        let mut result = self.files.get_opts(location, options).await?;
        if !wants_whole {
            return Ok(result);
        }
        if let GetResultPayload::File(mut file, _) = result.payload {
            let read = move || {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).map(|_| bytes)
            };
            let bytes = tokio::task::spawn_blocking(read).await?;
            let bytes = Bytes::from(bytes.map_err(|error| failed(&error))?);
            result.meta.e_tag = Some(hash(&bytes));
            result.meta.size = bytes.len() as u64;
            result.range = 0..bytes.len() as u64;
            result.payload = GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed());
        }
        Ok(result)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.files.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.files.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.files.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.files.copy_opts(from, to, options).await
    }
}

/// The directory as a store for all kinds of calls.
pub(super) fn open(root: &FilePath) -> Result<Arc<dyn ObjectStore>> {
    Ok(Arc::new(Directory::open(root)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bucket on a file system that was unmounted looked empty: HEAD was missing, which was taken for an emptied bucket, and the
    /// next write made the directory anew below the mount point.
    #[tokio::test]
    async fn a_directory_that_is_gone_is_not_taken_for_an_empty_one() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("bucket");
        std::fs::create_dir(&root).unwrap();
        let store = Directory::open(&root).unwrap();
        let (key, options) = (Path::from("a/HEAD"), GetOptions::default);
        let missing = store.get_opts(&key, options()).await.unwrap_err();
        assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
        std::fs::remove_dir(&root).unwrap();
        let gone = store.get_opts(&key, options()).await.unwrap_err();
        assert!(matches!(gone, Error::Generic { .. }), "{gone}");
        let put = store
            .put_opts(&key, PutPayload::from_static(b"x"), PutOptions::default())
            .await;
        assert!(put.is_err() && !root.exists());
    }
}
