//! Finding the file of a module, and making sure that it is the one that was loaded.

use std::fs;
use std::path::{Path, PathBuf};

use addr2line::Loader;

use super::Unresolved;
use super::separate::{self, Identity};

/// Opens the running program's file, even if it was replaced or deleted.
const RUNNING: &str = "/proc/self/exe";
/// What the kernel appends to the path of a deleted file.
const DELETED: &str = " (deleted)";

/// Loads the file of a module of this process.
pub(super) fn load_of_process(path: &Path, build_id: &[u8]) -> Result<Loader, Unresolved> {
    let is_right = |file: &Path| match build_id {
        [] if is_same(file, Path::new(RUNNING)) => Ok(()),
        [] => Err(Unresolved::Unverified),
        _ => check(file, build_id),
    };
    // By its path if it is still there: split debug information is found beside it.
    match load(path, is_right) {
        Err(_) if is_running(path) => load(Path::new(RUNNING), is_right),
        loaded => loaded,
    }
    .map(|loader| with_separate(loader, path, build_id, Path::new(separate::ROOT)))
}

/// Loads the file of a module of any process. Without a build id it is taken for the right one.
pub(super) fn load_anywhere(path: &Path, build_id: &[u8]) -> Result<Loader, Unresolved> {
    let is_right = |file: &Path| match build_id {
        [] => Ok(()),
        _ => check(file, build_id),
    };
    let root = Path::new(separate::ROOT);
    load(path, is_right).map(|loader| with_separate(loader, path, build_id, root))
}

fn load(
    path: &Path,
    is_right: impl Fn(&Path) -> Result<(), Unresolved>,
) -> Result<Loader, Unresolved> {
    // Opening a pipe would block.
    if !fs::metadata(path).is_ok_and(|it| it.is_file()) {
        return Err(Unresolved::Missing);
    }
    let loader = Loader::new(path).map_err(|_| Unresolved::Missing)?;
    // The file was right when the process started, and can be replaced at any time. So the check comes last:
    // a file that is still right now was right when the loader read it.
    is_right(path)?;
    Ok(loader)
}

/// Returns the debug information of a separate file, if the file at `path` has none itself.
fn with_separate(loader: Loader, path: &Path, build_id: &[u8], root: &Path) -> Loader {
    if has_debug_info(&loader) {
        return loader;
    }
    // If the file was replaced, this is of another one.
    let identity = [path, Path::new(RUNNING)]
        .into_iter()
        .take(if is_running(path) { 2 } else { 1 })
        .filter_map(Identity::of)
        .find(|identity| build_id.is_empty() || identity.build_id == build_id);
    let Some(identity) = identity else {
        return loader;
    };
    let is_right = |path: &Path| { identity.is_of(path).then_some(()) }.ok_or(Unresolved::Replaced);
    let found = { identity.places(path, root).into_iter() }
        .filter_map(|place| load(&place, is_right).ok())
        .find(has_debug_info);
    found.unwrap_or(loader)
}

fn has_debug_info(loader: &Loader) -> bool {
    loader.get_section_range(b".debug_info").is_some()
}

fn check(path: &Path, build_id: &[u8]) -> Result<(), Unresolved> {
    match build_id_of(path) {
        Some(found) if found == build_id => Ok(()),
        Some(_) => Err(Unresolved::Replaced),
        None => Err(Unresolved::Missing),
    }
}

/// Returns a file's build id, empty if it has none; `None` if the file can't be read.
pub(super) fn build_id_of(path: &Path) -> Option<Vec<u8>> {
    Identity::of(path).map(|identity| identity.build_id)
}

/// Returns whether a path is, or was, that of the running program.
fn is_running(path: &Path) -> bool {
    fs::read_link(RUNNING).is_ok_and(|link| without_mark(&link) == without_mark(path))
}

/// Returns a path without the mark of a deleted file.
pub(super) fn without_mark(path: &Path) -> PathBuf {
    let text = path.to_str().and_then(|path| path.strip_suffix(DELETED));
    text.map_or_else(|| path.to_owned(), PathBuf::from)
}

#[cfg(unix)]
fn is_same(path: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let identity = |path| fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
    identity(path).is_some_and(|it| Some(it) == identity(other))
}

#[cfg(not(unix))]
fn is_same(_: &Path, _: &Path) -> bool {
    false
}

#[cfg(all(test, target_os = "linux", not(loom)))]
mod tests {
    use std::ffi::OsStr;
    use std::process::Command;

    use object::{Object, ObjectSymbol};

    use super::*;

    fn run(command: impl AsRef<OsStr>, arguments: &[&OsStr]) {
        let output = Command::new(command).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// A stripped program, whose debug information is in another file.
    struct Stripped {
        folder: tempfile::TempDir,
        path: PathBuf,
        debug: PathBuf,
        /// The address of the function in line 4.
        work: u64,
    }

    impl Stripped {
        /// Makes one whose linker makes a build id or not.
        fn new(build_id: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let [source, whole, path, debug] =
                ["main.rs", "whole", "stripped", "apart"].map(|name| folder.path().join(name));
            let text = "fn main() { work() }\n\n#[unsafe(no_mangle)]\nfn work() {}\n";
            fs::write(&source, text).unwrap();
            let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
            let link = format!("-Clink-arg=-Wl,--build-id={build_id}");
            let flags = ["--edition=2024", "-g", &link, "-o"].map(OsStr::new);
            run(
                compiler,
                &[&[source.as_ref()], &flags[..], &[whole.as_ref()]].concat(),
            );
            let content = fs::read(&whole).unwrap();
            let symbols = object::File::parse(&*content).unwrap();
            let work = symbols.symbols().find(|it| it.name() == Ok("work"));
            let [keep, strip] = ["--only-keep-debug", "--strip-all"].map(OsStr::new);
            run("objcopy", &[keep, whole.as_ref(), debug.as_ref()]);
            run("objcopy", &[strip, whole.as_ref(), path.as_ref()]);
            Self {
                work: work.unwrap().address(),
                folder,
                path,
                debug,
            }
        }

        /// Adds the section with the name of the debug information and its checksum.
        fn link(&self) {
            let option = format!("--add-gnu-debuglink={}", self.debug.display());
            run("objcopy", &[option.as_ref(), self.path.as_ref()]);
        }

        fn root(&self) -> PathBuf {
            self.folder.path().join("root")
        }

        fn loaded(&self) -> Loader {
            let build_id = build_id_of(&self.path).unwrap();
            let loader = load(&self.path, |path| check(path, &build_id)).unwrap();
            with_separate(loader, &self.path, &build_id, &self.root())
        }

        fn assert_is_found_at(&self, place: &Path) {
            assert!(!has_debug_info(&self.loaded()), "before it is there");
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            // The debug information of another file is not taken.
            fs::copy(std::env::current_exe().unwrap(), place).unwrap();
            assert!(!has_debug_info(&self.loaded()), "{}", place.display());
            fs::copy(&self.debug, place).unwrap();
            let loader = self.loaded();
            let location = loader.find_location(self.work).unwrap().unwrap();
            assert_eq!(location.line, Some(4), "{}", place.display());
            assert_eq!(loader.find_symbol(self.work), Some("work"));
            fs::remove_file(place).unwrap();
        }
    }

    #[test]
    fn a_stripped_file_has_the_debug_information_that_is_filed_under_its_build_id() {
        let stripped = Stripped::new("sha1");
        let build_id = build_id_of(&stripped.path).unwrap();
        assert_eq!(build_id.len(), 20);
        let identity = Identity::of(&stripped.path).unwrap();
        let place = identity.places(&stripped.path, &stripped.root());
        stripped.assert_is_found_at(&place[0]);
    }

    /// With a build id, by which it is known to be the right one, and without, by its checksum.
    #[test]
    fn a_stripped_file_has_the_debug_information_that_its_link_names() {
        for build_id in ["sha1", "none"] {
            let mut stripped = Stripped::new(build_id);
            stripped.link();
            let name = stripped.debug.file_name().unwrap().to_owned();
            let away = stripped.folder.path().join("away");
            fs::rename(&stripped.debug, &away).unwrap();
            stripped.debug = away;
            let folder = stripped.path.canonicalize().unwrap();
            let folder = folder.parent().unwrap();
            let filed = stripped.root().join(folder.strip_prefix("/").unwrap());
            for folder in [folder, &folder.join(".debug"), &filed] {
                stripped.assert_is_found_at(&folder.join(&name));
            }
        }
    }
}
