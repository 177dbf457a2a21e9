//! The modules of the process: the program and the shared libraries that are loaded, with their tables for
//! unwinding.

use std::ffi::{CStr, OsStr, c_int, c_void};
use std::ops::{Deref, Range};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;

use libc::{PT_GNU_EH_FRAME, PT_LOAD, PT_NOTE, dl_phdr_info};

use crate::sites::module::Module;

use super::forks::between_forks;

/// A module with its tables.
pub(super) struct Loaded {
    pub(super) module: Module,
    pub(super) tables: Option<Tables>,
}

/// What unwinding needs, with the addresses in the file.
pub(super) struct Tables {
    pub(super) header: (Range<u64>, Bytes),
    pub(super) frames: (Range<u64>, Bytes),
}

/// Memory of a module. That of a shared library is a copy, because it can be unloaded.
#[derive(Clone)]
pub(super) enum Bytes {
    OfProgram(&'static [u8]),
    Copied(Arc<[u8]>),
}

impl Default for Bytes {
    fn default() -> Self {
        Self::OfProgram(&[])
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::OfProgram(bytes) => bytes,
            Self::Copied(bytes) => bytes,
        }
    }
}

/// The tables of a library that has more than this are not copied: its frames are not walked.
const MOST_COPIED: u64 = 32 << 20;

/// Returns the modules that are loaded now.
///
/// Waits for a thread that is loading or unloading one.
///
/// ```
/// # #[cfg(all(target_os = "linux", target_arch = "x86_64"))] {
/// let modules = alloc_counter::modules();
/// assert_eq!(modules[0].path, std::env::current_exe()?);
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn modules() -> Vec<Module> {
    let loaded = loaded().unwrap_or_default();
    loaded.into_iter().map(|loaded| loaded.module).collect()
}

/// Returns the modules that are loaded now, the program first; `None` if they can't be read now.
pub(super) fn loaded() -> Option<Vec<Loaded>> {
    between_forks(|| {
        let mut found = Vec::new();
        // SAFETY: the callback is called with this pointer, to a list that lives until the call returns and that
        // nobody else uses.
        unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut found).cast()) };
        found
    })
}

/// Returns how often modules have been loaded and unloaded; `None` if that can't be read now.
pub(super) fn changes() -> Option<u64> {
    between_forks(|| {
        let mut changes = 0_u64;
        // SAFETY: the callback is called with this pointer, to a number that lives until the call returns and
        // that nobody else uses.
        unsafe { libc::dl_iterate_phdr(Some(read_changes), (&raw mut changes).cast()) };
        changes
    })
}

unsafe extern "C" fn read_changes(
    info: *mut dl_phdr_info,
    _: usize,
    changes: *mut c_void,
) -> c_int {
    // SAFETY: `dl_iterate_phdr` gives a valid description, and the number that `changes` gave it.
    let (info, changes) = unsafe { (&*info, &mut *changes.cast::<u64>()) };
    *changes = info.dlpi_adds.wrapping_add(info.dlpi_subs);
    // All modules have the same numbers.
    1
}

/// Adds one module to the list.
unsafe extern "C" fn add(info: *mut dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
    // SAFETY: `dl_iterate_phdr` gives a valid description, and the list that `loaded` gave it.
    let (info, found) = unsafe { (&*info, &mut *found.cast::<Vec<Loaded>>()) };
    let headers = if info.dlpi_phdr.is_null() {
        &[]
    } else {
        // SAFETY: the loader keeps the program headers of a loaded module in memory, as many as it says, and
        // holds its lock meanwhile, so the module is not unloaded.
        unsafe { slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) }
    };
    let image = Image {
        bias: info.dlpi_addr,
        headers,
    };
    let Some(range) = image.range() else { return 0 };
    let is_program = found.is_empty();
    found.push(Loaded {
        module: Module {
            path: path(info, is_program),
            range: image.in_memory(&range),
            // The address space has 64 bits, or this module is not compiled.
            #[expect(clippy::cast_possible_truncation, reason = "the same size")]
            bias: image.bias as usize,
            build_id: image.build_id().unwrap_or_default().to_vec(),
        },
        tables: image.tables(is_program),
    });
    0
}

fn path(info: &dl_phdr_info, is_program: bool) -> PathBuf {
    if is_program {
        return std::fs::read_link("/proc/self/exe").unwrap_or_default();
    }
    if info.dlpi_name.is_null() {
        return PathBuf::new();
    }
    // SAFETY: the loader's names are C strings that live as long as the module is loaded, and it is not
    // unloaded meanwhile.
    let name = unsafe { CStr::from_ptr(info.dlpi_name) };
    Path::new(OsStr::from_bytes(name.to_bytes())).to_path_buf()
}

/// A module in memory, while the loader does not unload it.
struct Image<'a> {
    bias: u64,
    headers: &'a [libc::Elf64_Phdr],
}

impl<'a> Image<'a> {
    fn headers_of(&self, kind: u32) -> impl Iterator<Item = &'a libc::Elf64_Phdr> {
        self.headers.iter().filter(move |it| it.p_type == kind)
    }

    /// Returns the addresses of the module in the file.
    fn range(&self) -> Option<Range<u64>> {
        let start = self.headers_of(PT_LOAD).map(|it| it.p_vaddr).min()?;
        let ends = self.headers_of(PT_LOAD).map(end);
        Some(start..ends.max()?)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the same size")]
    fn in_memory(&self, range: &Range<u64>) -> Range<usize> {
        let address = |address: u64| self.bias.wrapping_add(address) as usize;
        address(range.start)..address(range.end)
    }

    /// Returns the memory at these addresses in the file; `None` if it is not within one readable segment.
    fn bytes(&self, range: &Range<u64>) -> Option<&'a [u8]> {
        let is_within = |it: &&libc::Elf64_Phdr| {
            it.p_flags & libc::PF_R != 0 && it.p_vaddr <= range.start && range.end <= end(it)
        };
        self.headers_of(PT_LOAD).find(is_within)?;
        let memory = self.in_memory(range);
        // SAFETY: the loader maps each segment for reading as its header says, and keeps it mapped as long as
        // the module is loaded, which the lifetime stands for. Tables and notes are never written again: they
        // are read-only, or were relocated before the loader told of the module.
        Some(unsafe { slice::from_raw_parts(memory.start as *const u8, memory.len()) })
    }

    fn tables(&self, is_program: bool) -> Option<Tables> {
        let header = self.headers_of(PT_GNU_EH_FRAME).next()?;
        let header = header.p_vaddr..end(header);
        let header_bytes = self.bytes(&header)?;
        let start = frames_start(header.start, header_bytes)?;
        let segment =
            { self.headers_of(PT_LOAD) }.find(|it| (it.p_vaddr..end(it)).contains(&start))?;
        let frames = start..end(segment);
        let frame_bytes = self.bytes(&frames)?;
        if !is_program && frames.end - frames.start > MOST_COPIED {
            return None;
        }
        let keep = |bytes: &'a [u8]| {
            if is_program {
                // SAFETY: the program itself is never unloaded.
                Bytes::OfProgram(unsafe { slice::from_raw_parts(bytes.as_ptr(), bytes.len()) })
            } else {
                Bytes::Copied(bytes.into())
            }
        };
        Some(Tables {
            header: (header, keep(header_bytes)),
            frames: (frames, keep(frame_bytes)),
        })
    }

    /// Returns the build id: <https://sourceware.org/binutils/docs/ld/Options.html>, `--build-id`.
    fn build_id(&self) -> Option<&'a [u8]> {
        self.headers_of(PT_NOTE)
            .filter_map(|it| self.bytes(&(it.p_vaddr..end(it))))
            .find_map(build_id_in)
    }
}

fn end(header: &libc::Elf64_Phdr) -> u64 {
    header.p_vaddr.saturating_add(header.p_memsz)
}

/// Returns where the table of frames begins, which the header in front of its index tells:
/// <https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/ehframechpt.html>.
fn frames_start(header_start: u64, header: &[u8]) -> Option<u64> {
    /// Relative to the place where it stands, in four bytes. All linkers write it so.
    const RELATIVE: u8 = 0x1b;
    let [1, RELATIVE, _, _, offset @ ..] = header else {
        return None;
    };
    let offset = i32::from_le_bytes(*offset.first_chunk()?);
    header_start
        .wrapping_add(4)
        .checked_add_signed(offset.into())
}

/// Finds the build id among notes: <https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html#note_section>.
fn build_id_in(mut notes: &[u8]) -> Option<&[u8]> {
    const BUILD_ID: u32 = 3;
    let word = |notes: &[u8], place: usize| -> Option<u32> {
        let bytes = notes.get(place..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    };
    loop {
        let name_len = usize::try_from(word(notes, 0)?).ok()?;
        let text_len = usize::try_from(word(notes, 4)?).ok()?;
        let kind = word(notes, 8)?;
        let name = notes.get(12..)?.get(..name_len)?;
        let rest = notes
            .get(12..)?
            .get(name_len.checked_next_multiple_of(4)?..)?;
        let text = rest.get(..text_len)?;
        if kind == BUILD_ID && name == b"GNU\0" {
            return Some(text);
        }
        notes = rest.get(text_len.checked_next_multiple_of(4)?..)?;
    }
}
