//! The file of a program or library, for frames of other processes.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Frame;
use super::cache::Cache;
use super::file::ModuleFile;
use super::loaded::build_id_of;
use super::modules::shown_build_id;

/// The file of a program or library, in which the frames of reports are looked up that come from other
/// processes or machines. Frames belong to it if they have its build id.
///
/// It may be the file that ran, or its debug information as `objcopy --only-keep-debug` or a distribution
/// has put it into a file of its own: that has the same build id.
///
/// ```no_run
/// use std::path::Path;
/// use tracer::report::json;
/// use tracer::sites::Binary;
///
/// let mut binary = Binary::open(Path::new("target/release/service"))?;
/// for report in json::Lines::new(std::io::stdin().lock()) {
///     println!("{:#}", report?.resolved_with(&mut binary));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Binary {
    build_id: Arc<str>,
    file: ModuleFile,
    cache: Cache,
}

impl Binary {
    /// Opens a file. It is mapped and parsed until this is dropped: see [`Symbols::frames`](super::Symbols::frames)
    /// for what that costs.
    ///
    /// # Errors
    ///
    /// Returns an error if the file can't be read, is no object file, or has no build id.
    pub fn open(path: &Path) -> Result<Self, BinaryError> {
        let failed = |problem| BinaryError {
            path: path.to_owned(),
            problem,
        };
        let metadata = fs::metadata(path).map_err(|error| failed(Problem::Unreadable(error)))?;
        // Opening a pipe would block.
        if !metadata.is_file() {
            return Err(failed(Problem::NotFile));
        }
        fs::File::open(path).map_err(|error| failed(Problem::Unreadable(error)))?;
        let build_id = build_id_of(path).ok_or_else(|| failed(Problem::NotObject))?;
        let shown = shown_build_id(&build_id).ok_or_else(|| failed(Problem::NoBuildId))?;
        let file = ModuleFile::anywhere(path, &build_id);
        if !file.is_loaded() {
            return Err(failed(Problem::NotObject));
        }
        Ok(Self {
            build_id: shown,
            file,
            cache: Cache::default(),
        })
    }

    /// Returns the build id, in hexadecimal digits as [`Frame::build_id`].
    pub fn build_id(&self) -> &str {
        &self.build_id
    }

    /// Looks up the frames that have this build id and are not wholly known. The others stay as they are, and
    /// so do those of which the file does not know more.
    pub fn resolve(&mut self, frames: &[Frame]) -> Vec<Arc<[Frame]>> {
        let each = frames.iter().map(|frame| {
            let found = self.is_asked(frame).then(|| self.look_up(frame)).flatten();
            found.unwrap_or_else(|| Arc::new([frame.clone()]))
        });
        each.collect()
    }

    fn is_asked(&self, frame: &Frame) -> bool {
        frame.unresolved.is_some() && frame.build_id.as_ref() == Some(&self.build_id)
    }

    fn look_up(&mut self, frame: &Frame) -> Option<Arc<[Frame]>> {
        let found = if let Some(found) = self.cache.get(frame.offset) {
            Arc::clone(found)
        } else {
            let found = self.file.frames(frame.offset);
            self.cache.insert(frame.offset, &found);
            found
        };
        // Another file may have known the function.
        if found[0].function.is_none() && frame.function.is_some() {
            return None;
        }
        // Debug information may be in a file of another name.
        let frames = found.iter().cloned().map(|found| Frame {
            module: frame.module.clone(),
            ..found
        });
        Some(frames.collect())
    }
}

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binary")
            .field("build_id", &self.build_id)
            .finish_non_exhaustive()
    }
}

/// Error of [`Binary::open`]. Its text names the file, and what was expected.
#[derive(Debug)]
pub struct BinaryError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Unreadable(io::Error),
    NotFile,
    NotObject,
    NoBuildId,
}

impl fmt::Display for BinaryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Escaped, since a name may have any characters.
        write!(f, "{}: ", self.path.display().to_string().escape_debug())?;
        match &self.problem {
            Problem::Unreadable(error) => write!(f, "{error}"),
            Problem::NotFile => f.write_str("expected a file"),
            Problem::NotObject => f.write_str("expected a program or library, as an ELF file"),
            Problem::NoBuildId => f.write_str(
                "it has no build id, by which frames are found: link it with `-Clink-arg=-Wl,--build-id`",
            ),
        }
    }
}

impl std::error::Error for BinaryError {
    /// Returns the source of the cause: the message contains the cause itself.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Unreadable(error) => error.source(),
            _ => None,
        }
    }
}
