//! Finding the file of a module, and making sure that it is the one that was loaded.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use addr2line::Loader;
use object::{Object, ReadCache};

use super::Unresolved;

/// Opens the running program's file, even if it was replaced or deleted.
const RUNNING: &str = "/proc/self/exe";
/// What the kernel appends to the path of a deleted file.
const DELETED: &str = " (deleted)";
/// Where distributions keep debug information of stripped files.
const SEPARATE: &str = "/usr/lib/debug/.build-id";

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
    .map(|loader| with_separate(loader, Path::new(SEPARATE), build_id))
}

/// Loads the file of a module of any process. Without a build id it is taken for the right one.
pub(super) fn load_anywhere(path: &Path, build_id: &[u8]) -> Result<Loader, Unresolved> {
    let is_right = |file: &Path| match build_id {
        [] => Ok(()),
        _ => check(file, build_id),
    };
    load(path, is_right).map(|loader| with_separate(loader, Path::new(SEPARATE), build_id))
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

/// Returns the debug information that is filed under the build id, if the file has none itself.
fn with_separate(loader: Loader, root: &Path, build_id: &[u8]) -> Loader {
    if has_debug_info(&loader) {
        return loader;
    }
    let Some(path) = separate_path(root, build_id) else {
        return loader;
    };
    load(&path, |path| check(path, build_id)).unwrap_or(loader)
}

fn has_debug_info(loader: &Loader) -> bool {
    loader.get_section_range(b".debug_info").is_some()
}

fn separate_path(root: &Path, build_id: &[u8]) -> Option<PathBuf> {
    let (first, rest) = build_id.split_first()?;
    Some(root.join(hex(&[*first])).join(hex(rest) + ".debug"))
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
    let cache = ReadCache::new(BufReader::new(File::open(path).ok()?));
    let file = object::File::parse(&cache).ok()?;
    Some(file.build_id().ok()?.unwrap_or_default().to_vec())
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

/// Writes bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string doesn't fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(all(test, target_os = "linux", not(loom)))]
mod tests {
    use std::process::Command;

    use object::ObjectSymbol;

    use super::*;

    fn run(command: &str, arguments: &[&Path]) {
        let output = Command::new(command).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    #[test]
    fn a_stripped_file_has_the_debug_information_that_is_filed_under_its_build_id() {
        let folder = tempfile::tempdir().unwrap();
        let [source, whole, stripped, root] =
            ["main.rs", "whole", "stripped", "root"].map(|name| folder.path().join(name));
        fs::write(
            &source,
            "fn main() { work() }\n\n#[unsafe(no_mangle)]\nfn work() {}\n",
        )
        .unwrap();
        let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let flags = ["--edition=2024", "-g", "-Clink-arg=-Wl,--build-id"];
        run(
            compiler.to_str().unwrap(),
            &[&source, Path::new("-o"), &whole]
                .into_iter()
                .chain(flags.map(Path::new))
                .collect::<Vec<_>>(),
        );
        let build_id = build_id_of(&whole).unwrap();
        assert_eq!(build_id.len(), 20);
        let content = fs::read(&whole).unwrap();
        let symbols = object::File::parse(&*content).unwrap();
        let work = symbols
            .symbols()
            .find(|it| it.name() == Ok("work"))
            .unwrap();

        run("objcopy", &[Path::new("--strip-all"), &whole, &stripped]);
        let load_stripped = || {
            let loader = load(&stripped, |path| check(path, &build_id)).unwrap();
            with_separate(loader, &root, &build_id)
        };
        assert!(!has_debug_info(&load_stripped()));

        let separate = separate_path(&root, &build_id).unwrap();
        fs::create_dir_all(separate.parent().unwrap()).unwrap();
        // The debug information of another file is not taken.
        fs::copy(std::env::current_exe().unwrap(), &separate).unwrap();
        assert!(!has_debug_info(&load_stripped()));

        run(
            "objcopy",
            &[Path::new("--only-keep-debug"), &whole, &separate],
        );
        let loader = load_stripped();
        let location = loader.find_location(work.address()).unwrap().unwrap();
        assert_eq!(location.line, Some(4));
        assert_eq!(loader.find_symbol(work.address()), Some("work"));
    }

    #[test]
    fn a_build_id_names_its_file_of_debug_information() {
        let path = separate_path(Path::new("/root"), &[0xab, 0x01, 0xff]);
        assert_eq!(path, Some(PathBuf::from("/root/ab/01ff.debug")));
        assert_eq!(separate_path(Path::new("/root"), &[]), None);
    }
}
