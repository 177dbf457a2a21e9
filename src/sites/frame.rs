//! A function at a code address, or why it is not known.

use std::fmt;
use std::sync::Arc;

/// A function at a code address.
///
/// Names and paths are stored as the file has them, so they may contain control characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Frame {
    /// The function's name with its path, demangled and without the compiler's hash. With line tables only,
    /// an inlined function's name has no path. It has at most 256 bytes; a longer name ends with `…`.
    pub function: Option<String>,
    /// The path of the source file, as the compiler wrote it. It has at most 1,024 bytes; a longer path
    /// ends with `…`.
    pub file: Option<String>,
    /// The line in that file; `None` also for code that the compiler made without a line.
    pub line: Option<u32>,
    /// The file name of the program or library that contains the code.
    pub module: Option<Arc<str>>,
    /// The build id of that module in hexadecimal digits, if it has one.
    pub build_id: Option<Arc<str>>,
    /// The virtual address in the module's file. It is inside of the instruction that made the call, so
    /// other tools find the same line for it. If the module is not known, it is the address in the process.
    pub offset: u64,
    /// Why the frame or a part of it is not known; `None` if debug information was found.
    pub unresolved: Option<Unresolved>,
}

impl Frame {
    /// Returns the module and the offset in it, as `service+0x1234`.
    pub(crate) fn address(&self) -> String {
        let module = self.module.as_deref().unwrap_or("?");
        format!("{module}+{:#x}", self.offset)
    }

    /// Makes the frame of an address that is in no module.
    #[cfg(feature = "sites")]
    pub(super) fn unknown(address: u64) -> Self {
        Self {
            function: None,
            file: None,
            line: None,
            module: None,
            build_id: None,
            offset: address,
            unresolved: Some(Unresolved::UnknownModule),
        }
    }
}

/// Why a [`Frame`] or a part of it is not known.
///
/// `Display` writes the reason as a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Unresolved {
    /// It was not looked up. [`Report::resolved`](crate::Report::resolved) does so, or the command `tracer
    /// symbolize`.
    NotLookedUp,
    /// The address is in no module: for example, code that was compiled at run time.
    UnknownModule,
    /// The module's file does not exist, can't be read, or is no object file.
    Missing,
    /// The module's file has another build id than the module: it was replaced.
    Replaced,
    /// The module has no build id and is not the running program, so its file may have been replaced.
    Unverified,
    /// The file has neither debug information nor a symbol for the address.
    NoSymbols,
    /// The file has a symbol and no debug information for the address. The function is the one into which
    /// the code was compiled; functions inlined into it are not known.
    NoLines,
    /// The file has the line. Its function may be in split debug information that was not found, so
    /// [`Frame::function`] is the one into which the code was compiled, and the line may be in a function
    /// that was inlined into it.
    NoInlined,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotLookedUp => "not looked up",
            Self::UnknownModule => "in no known module",
            Self::Missing => "file not readable",
            Self::Replaced => "file replaced",
            Self::Unverified => "file without build id",
            Self::NoSymbols => "no symbols",
            Self::NoLines => "no debug information",
            Self::NoInlined => "inlined functions not known",
        })
    }
}
