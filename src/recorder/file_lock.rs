//! The lock by which only one recorder writes to a file of reports and rotates it.
//!
//! The lock is on a file of its own, with `.lock` appended to the name, which is never rotated. On Unix
//! it is a lock of the process (`fcntl`): it ends with the process, however that ends, and a forked
//! child does not share it. Such a lock does not exclude its own process, and is lost when the process
//! closes any handle of the file. So only this module opens the file, and a list holds the files that
//! this process has locked, as `LevelDB` and `RocksDB` do it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::process_lock::ProcessLock;

/// The lock of a file of reports, until it is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    path: PathBuf,
    file: File,
    /// Whether `path` is a lock file, and not the file of reports itself.
    is_own_file: bool,
    _listed: Listed,
}

/// The most attempts at a lock file that others remove meanwhile.
const ATTEMPTS: u32 = 100;

impl FileLock {
    /// Locks the file of reports at this path, which contains no links; `None` if another recorder has
    /// the lock.
    pub(super) fn take(reports: &Path) -> io::Result<Option<Self>> {
        let mut path = reports.as_os_str().to_owned();
        path.push(".lock");
        match Self::take_at(PathBuf::from(path), true) {
            // No file can be created in this directory, so none is rotated either.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                Self::take_at(reports.to_owned(), false)
            }
            taken => taken,
        }
    }

    fn take_at(path: PathBuf, is_own_file: bool) -> io::Result<Option<Self>> {
        let Some(listed) = Listed::new(&path) else {
            return Ok(None);
        };
        for _ in 0..ATTEMPTS {
            let mut options = OpenOptions::new();
            let file = options
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)?;
            if !lock(&file)? {
                return Ok(None);
            }
            // Its last owner may have removed it meanwhile.
            if is_at(&file.metadata()?, &path) {
                return Ok(Some(Self {
                    path,
                    file,
                    is_own_file,
                    _listed: listed,
                }));
            }
        }
        Ok(None)
    }

    /// Returns whether the lock still holds: one whose file was removed excludes nobody.
    pub(super) fn holds(&self) -> bool {
        let is_there = self.file.metadata().is_ok_and(|it| is_at(&it, &self.path));
        is_there && (!cfg!(unix) || lock(&self.file).unwrap_or(false))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if self.is_own_file && self.holds() {
            // Removed before it is unlocked: whoever has opened it meanwhile sees that it is gone.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Locks the file. Returns `false` if another process has it.
#[cfg(unix)]
fn lock(file: &File) -> io::Result<bool> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    use rustix::io::Errno;
    match fcntl_lock(file, FlockOperation::NonBlockingLockExclusive) {
        // The errors are those of a file system without locks.
        Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Err(std::fs::TryLockError::WouldBlock) => Ok(false),
        Ok(()) | Err(std::fs::TryLockError::Error(_)) => Ok(true),
    }
}

/// Returns whether this is the file at the path.
#[cfg(unix)]
pub(super) fn is_at(file: &Metadata, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let there = std::fs::symlink_metadata(path);
    there.is_ok_and(|there| (there.dev(), there.ino()) == (file.dev(), file.ino()))
}

#[cfg(not(unix))]
pub(super) fn is_at(_: &Metadata, path: &Path) -> bool {
    path.exists()
}

/// The files that this process has locked, each with the process's number: a forked child has locked
/// none of its parent's.
static LIST: LazyLock<ProcessLock<Vec<(u32, PathBuf)>>> =
    LazyLock::new(|| ProcessLock::new(Vec::new()));

/// An entry in the list, until it is dropped.
#[derive(Debug)]
struct Listed(u32, PathBuf);

impl Listed {
    /// Adds an entry; `None` if it is in the list already.
    fn new(path: &Path) -> Option<Self> {
        let entry = (std::process::id(), path.to_owned());
        let mut list = LIST.take()?;
        if list.contains(&entry) {
            return None;
        }
        list.push(entry.clone());
        Some(Self(entry.0, entry.1))
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        if let Some(mut list) = LIST.take() {
            list.retain(|(process, path)| *process != self.0 || *path != self.1);
        }
    }
}
