//! The file that a result is written to. A regular file is written whole or not at all, however the
//! command ends; anything else is written to directly.

use std::fs::{self, File, Metadata};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

pub(crate) enum Destination {
    /// There is no such file yet. If there is one by the time the result is made, it is replaced only if
    /// `may_replace` is set.
    New { path: PathBuf, may_replace: bool },
    /// A regular file to be replaced.
    Old { path: PathBuf, before: Metadata },
    /// A device or a pipe.
    Stream(File),
}

/// A result while it is made. It has no visible name, and is gone when the command ends.
pub(crate) struct Draft {
    pub(crate) file: File,
    /// Whether it is in its destination's folder and needs only a name; otherwise it has to be copied.
    is_in_place: bool,
}

impl Destination {
    /// Finds out what is at the path, through links. So an unwritable destination is an error before the
    /// work, not after it. A file that must not be replaced [exists
    /// already](io::ErrorKind::AlreadyExists).
    pub(crate) fn of(path: &Path, may_replace: bool) -> io::Result<Self> {
        match fs::metadata(path) {
            Ok(there) if holds_data(&there) && !may_replace => {
                Err(io::ErrorKind::AlreadyExists.into())
            }
            Ok(_) => {
                let there = File::options().write(true).open(path)?;
                let before = there.metadata()?;
                if before.is_file() {
                    let path = fs::canonicalize(path)?;
                    Ok(Self::Old { path, before })
                } else {
                    Ok(Self::Stream(there))
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let path = if may_replace {
                    end_of_links(path)
                } else {
                    path.to_owned()
                };
                fs::metadata(folder(&path))?;
                Ok(Self::New { path, may_replace })
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn draft(&self) -> io::Result<Draft> {
        if let Self::New { path, .. } | Self::Old { path, .. } = self
            && let Some(file) = nameless(folder(path))?
        {
            return Ok(Draft {
                file,
                is_in_place: true,
            });
        }
        Ok(Draft {
            file: tempfile::tempfile()?,
            is_in_place: false,
        })
    }

    /// Puts a result in its place.
    pub(crate) fn publish(self, draft: Draft) -> io::Result<()> {
        match self {
            Self::Stream(mut stream) => {
                draft.copy(&mut stream)?;
                stream.flush()
            }
            Self::Old { path, before } => {
                named(draft, folder(&path), Some(&before))?.persist(&path)?;
                Ok(())
            }
            Self::New { path, may_replace } => {
                if draft.is_in_place {
                    match link(&draft.file, &path) {
                        Err(error)
                            if may_replace && error.kind() == io::ErrorKind::AlreadyExists => {}
                        linked => return linked,
                    }
                }
                let named = named(draft, folder(&path), None)?;
                if may_replace {
                    named.persist(&path)?;
                } else {
                    named.persist_noclobber(&path)?;
                }
                Ok(())
            }
        }
    }
}

impl Draft {
    fn copy(mut self, to: &mut File) -> io::Result<()> {
        self.file.rewind()?;
        io::copy(&mut self.file, to).map(drop)
    }
}

/// Gives a result a temporary name beside its destination, which it is about to replace.
fn named(draft: Draft, folder: &Path, before: Option<&Metadata>) -> io::Result<NamedTempFile> {
    hold_signals();
    let builder = Builder::new();
    let make = |make: &dyn Fn(&Path) -> io::Result<File>| builder.make_in(folder, make);
    if draft.is_in_place {
        keep(before, &draft.file)?;
        return make(&|path| {
            link(&draft.file, path)?;
            draft.file.try_clone()
        });
    }
    // With the usual permissions of a new file, not those of a private temporary file.
    let mut named = make(&|path| File::options().write(true).create_new(true).open(path))?;
    keep(before, named.as_file())?;
    draft.copy(named.as_file_mut())?;
    Ok(named)
}

/// Returns whether the existing file holds data that could be lost.
fn holds_data(there: &Metadata) -> bool {
    #[cfg(unix)]
    if std::os::unix::fs::FileTypeExt::is_block_device(&there.file_type()) {
        return true;
    }
    there.is_file()
}

/// Returns the target of links whose target does not exist yet.
fn end_of_links(path: &Path) -> PathBuf {
    // More than the kernel follows.
    const MOST: usize = 64;
    let mut path = path.to_owned();
    for _ in 0..MOST {
        let Ok(to) = fs::read_link(&path) else {
            break;
        };
        path = folder(&path).join(to);
    }
    path
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Opens a file without a name; `None` if the system can't.
#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> io::Result<Option<File>> {
    use rustix::fs::{Mode, OFlags, open};
    // `link` needs it to name the file.
    if !Path::new("/proc/self/fd").is_dir() {
        return Ok(None);
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    // The umask is subtracted.
    match open(folder, flags, Mode::from_raw_mode(0o666)) {
        Ok(file) => Ok(Some(file.into())),
        // Many file systems and older kernels don't have it.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(target_os = "linux")]
fn link(file: &File, path: &Path) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd as _;
    let there = format!("/proc/self/fd/{}", file.as_raw_fd());
    linkat(CWD, there, CWD, path, AtFlags::SYMLINK_FOLLOW).map_err(Into::into)
}

#[cfg(not(target_os = "linux"))]
fn nameless(_: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

#[cfg(not(target_os = "linux"))]
fn link(_: &File, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Gives a file the mode and the owner of the one that it replaces.
#[cfg(unix)]
fn keep(before: Option<&Metadata>, file: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let Some(before) = before else {
        return Ok(());
    };
    let now = file.metadata()?;
    let other = |before, now| (before != now).then_some(before);
    let user = other(before.uid(), now.uid());
    let group = other(before.gid(), now.gid());
    if user.is_some() || group.is_some() {
        fchown(file, user, group).map_err(|error| {
            io::Error::new(error.kind(), format!("its owner can't be kept: {error}"))
        })?;
    }
    file.set_permissions(before.permissions())
}

#[cfg(not(unix))]
fn keep(_: Option<&Metadata>, _: &File) -> io::Result<()> {
    Ok(())
}

/// Ignores signals that ask the command to end: the result is made, and a file with a temporary name
/// must not stay.
fn hold_signals() {
    #[cfg(unix)]
    {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            // If this fails, the signal still ends the command.
            let _ = signal_hook::flag::register(signal, std::sync::Arc::default());
        }
    }
}
