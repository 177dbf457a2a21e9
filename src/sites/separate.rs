//! Where the debug information of a stripped file may be, and whether it is there. It is looked for as gdb does:
//! <https://sourceware.org/gdb/current/onlinedocs/gdb.html/Separate-Debug-Files.html>.

#[cfg(unix)]
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use object::{Object, ReadCache};

/// Where distributions keep debug information of stripped files.
pub(super) const ROOT: &str = "/usr/lib/debug";

/// What a file says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// Empty if it has none.
    pub(super) build_id: Vec<u8>,
    link: Option<Link>,
}

/// The section `.gnu_debuglink`.
#[derive(Debug, PartialEq, Eq)]
struct Link {
    /// The name of a file, without a folder.
    name: PathBuf,
    /// The checksum of all that is in the file.
    checksum: u32,
}

impl Identity {
    /// Reads a file; `None` if it can't be read.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let cache = ReadCache::new(BufReader::new(File::open(path).ok()?));
        let file = object::File::parse(&cache).ok()?;
        let link = file.gnu_debuglink().ok().flatten();
        Some(Self {
            build_id: file.build_id().ok()?.unwrap_or_default().to_vec(),
            link: link.and_then(|(name, checksum)| Link::new(name, checksum)),
        })
    }

    /// Returns the files that may have the debug information of the file at `path`, in the order in which they are
    /// looked for.
    pub(super) fn places(&self, path: &Path, root: &Path) -> Vec<PathBuf> {
        let mut places = Vec::new();
        if let Some((first, rest)) = self.build_id.split_first() {
            let folder = root.join(".build-id").join(hex(&[*first]));
            places.push(folder.join(hex(rest) + ".debug"));
        }
        let Some(Link { name, .. }) = &self.link else {
            return places;
        };
        // Links are followed, as a distribution files by the real path.
        let real = path.canonicalize().ok();
        let mut folders: Vec<&Path> = [Some(path), real.as_deref()]
            .into_iter()
            .flatten()
            .filter_map(Path::parent)
            .collect();
        folders.dedup();
        for folder in &folders {
            places.push(folder.join(name));
            places.push(folder.join(".debug").join(name));
        }
        for folder in folders {
            if let Ok(folder) = folder.strip_prefix("/") {
                places.push(root.join(folder).join(name));
            }
        }
        places
    }

    /// Returns whether a file has the debug information of this one: it has the same build id or, if one of them has
    /// none, the checksum that this one expects.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        match Self::of(path) {
            Some(found) if !found.build_id.is_empty() && !self.build_id.is_empty() => {
                found.build_id == self.build_id
            }
            Some(_) => {
                { self.link.as_ref() }.is_some_and(|link| checksum_of(path) == Some(link.checksum))
            }
            None => false,
        }
    }
}

impl Link {
    fn new(name: &[u8], checksum: u32) -> Option<Self> {
        #[cfg(unix)]
        let name = <OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name);
        #[cfg(not(unix))]
        let name = str::from_utf8(name).ok()?;
        let name = Path::new(name);
        let mut parts = name.components();
        let is_file = matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(only)), None) if only == name.as_os_str()
        );
        is_file.then(|| Self {
            name: name.to_owned(),
            checksum,
        })
    }
}

/// Returns the checksum of a file: CRC-32, as in zip and in `.gnu_debuglink`. `None` if it can't be read.
fn checksum_of(path: &Path) -> Option<u32> {
    let mut file = File::open(path).ok()?;
    let mut part = [0; 1 << 13];
    let mut checksum = !0;
    loop {
        let len = file.read(&mut part).ok()?;
        if len == 0 {
            return Some(!checksum);
        }
        checksum = part[..len].iter().fold(checksum, |checksum, byte| {
            let place = (checksum ^ u32::from(*byte)) & 0xff;
            CHECKSUMS[place as usize] ^ (checksum >> 8)
        });
    }
}

/// The checksums of all bytes.
const CHECKSUMS: [u32; 256] = {
    let mut all = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let mut checksum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let is_set = checksum & 1 == 1;
            checksum = (checksum >> 1) ^ if is_set { 0xedb8_8320 } else { 0 };
            bit += 1;
        }
        all[byte] = checksum;
        byte += 1;
    }
    all
};

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
    use super::*;

    #[test]
    fn places_in_the_order_of_gdb() {
        let identity = Identity {
            build_id: vec![0xab, 0x01, 0xff],
            link: Link::new(b"service.debug", 1),
        };
        let places = identity.places(Path::new("/no/such/service"), Path::new("/root"));
        let expected = [
            "/root/.build-id/ab/01ff.debug",
            "/no/such/service.debug",
            "/no/such/.debug/service.debug",
            "/root/no/such/service.debug",
        ];
        assert_eq!(places, expected.map(PathBuf::from));
        assert!(
            Identity::default()
                .places(Path::new("/a"), Path::new("/"))
                .is_empty()
        );
    }

    /// What a file says of itself is not trusted.
    #[test]
    fn a_link_names_a_file_and_no_folder() {
        for bad in [
            &b""[..],
            b".",
            b"..",
            b"/",
            b"/etc/passwd",
            b"../a",
            b"a/b",
            b"a/",
        ] {
            assert_eq!(Link::new(bad, 1), None, "{bad:?}");
        }
        assert!(Link::new(b"a\xff.debug", 1).is_some());
    }

    #[test]
    fn the_checksum_of_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(checksum_of(file.path()), Some(0));
        // The check value of CRC-32/ISO-HDLC.
        std::fs::write(file.path(), "123456789").unwrap();
        assert_eq!(checksum_of(file.path()), Some(0xcbf4_3926));
    }
}
