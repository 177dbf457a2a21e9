//! Allocation sites as plain data.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::Hash;
#[cfg(feature = "sites")]
use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "sites")]
use alloc_counter::Site;

use crate::report::escape::Escaped;
use crate::report::units::count;
use crate::sites::Frame;
#[cfg(feature = "sites")]
use crate::sites::{Binary, Symbols, modules::Frames};

/// A place in the code that allocated in a call, with its callers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SiteReport {
    /// The functions that called each other, from the allocator outwards to that of the call. Sites of one report share
    /// them. Before they are [looked up](crate::Report::resolved), they also have the functions further out, as far as the innermost
    /// that also ran when the trace was made current, or, if the site was sampled, the thread's first one. Empty if the stack could not be walked. At most 64 before functions that were
    /// inlined are added.
    pub frames: Vec<Arc<Frame>>,
    /// Whether the frames go as far as that.
    pub is_whole: bool,
    /// Number of allocations.
    pub allocations: u64,
    /// Number of reallocations.
    pub reallocations: u64,
    /// Bytes allocated.
    pub bytes_allocated: u64,
    /// Standard error of the bytes if the figures are estimated from a sample; 0 if they are exact.
    pub error_bytes: u64,
}

impl SiteReport {
    /// Makes the report of a site whose functions are not looked up.
    #[cfg(feature = "sites")]
    pub(crate) fn of(site: &Site, frames: &mut Frames) -> Self {
        let of_site = site.frames.iter().map(|address| frames.get(*address));
        Self {
            frames: of_site.collect(),
            is_whole: site.is_whole,
            allocations: site.allocations,
            reallocations: site.reallocations,
            bytes_allocated: site.bytes_allocated,
            error_bytes: site.error_bytes,
        }
    }

    /// Puts the heaviest first.
    pub(crate) fn sort(sites: &mut [Self]) {
        sites.sort_by_cached_key(|site| {
            let weight = Reverse((site.bytes_allocated, site.allocates()));
            let offsets: Vec<_> = site.frames.iter().map(|frame| frame.offset).collect();
            (weight, offsets)
        });
    }

    /// Returns the number of allocations and reallocations.
    pub(crate) fn allocates(&self) -> u64 {
        self.allocations.saturating_add(self.reallocations)
    }

    /// Returns the bytes, with their standard error if they are estimated.
    pub(crate) fn shown_bytes(&self) -> String {
        let bytes = count(self.bytes_allocated);
        match self.error_bytes {
            0 => bytes,
            error => format!("{bytes} ± {}", count(error)),
        }
    }

    fn add(&mut self, other: &Self) {
        self.is_whole &= other.is_whole;
        for (sum, amount) in [
            (&mut self.allocations, other.allocations),
            (&mut self.reallocations, other.reallocations),
            (&mut self.bytes_allocated, other.bytes_allocated),
        ] {
            *sum = sum.saturating_add(amount);
        }
        // Independent errors add up by their squares.
        let square = |error: u64| u128::from(error) * u128::from(error);
        let errors = square(self.error_bytes).saturating_add(square(other.error_bytes));
        self.error_bytes = u64::try_from(errors.isqrt()).unwrap_or(u64::MAX);
    }

    /// Adds up the sites that are the same by `key`, and puts the heaviest first.
    pub(crate) fn merge<K: Eq + Hash>(sites: Vec<Self>, key: impl Fn(&Self) -> K) -> Vec<Self> {
        let mut places: HashMap<K, usize> = HashMap::new();
        let mut merged: Vec<Self> = Vec::new();
        for site in sites {
            match places.entry(key(&site)) {
                Entry::Occupied(place) => {
                    merged[*place.get()].add(&site);
                }
                Entry::Vacant(place) => {
                    place.insert(merged.len());
                    merged.push(site);
                }
            }
        }
        Self::sort(&mut merged);
        merged
    }

    /// Returns the sites of a call, those of the same line together.
    pub(crate) fn by_line(of_call: Option<&[Self]>) -> Vec<Self> {
        Self::merge(of_call.unwrap_or_default().to_vec(), |site| {
            let place = site.place()?;
            // Without a line, the address is the place.
            let offset = place.line.is_none().then_some(place.offset);
            let module = place.module.clone();
            Some((
                place.function.clone(),
                place.file.clone(),
                place.line,
                module,
                offset,
            ))
        })
    }

    /// Returns the [place](Self::place) as a text on one line.
    pub(crate) fn described(&self) -> String {
        let mut text = String::new();
        match self.place() {
            // Writing to a string can't fail.
            Some(frame) => _ = write_frame(&mut text, frame),
            None => text += "(the stack could not be walked)",
        }
        text
    }

    /// Returns the innermost frame that is neither of the standard library nor of this crate, or else the
    /// innermost one.
    pub(crate) fn place(&self) -> Option<&Frame> {
        let mut frames = self.frames.iter().map(Arc::as_ref);
        let programs = { frames.clone() }.find(|frame| !is_of_library(frame));
        programs.or_else(|| frames.find(|frame| !is_of_allocator(frame)))
    }
}

#[cfg(feature = "sites")]
impl super::Report {
    /// Looks up the functions and lines of [sites](super::CallReport::sites) that were recorded in this process.
    /// The frames further out than the call's own function are left out.
    ///
    /// Do this where no request waits: it reads the program's debug information. For a program with 80 MB of
    /// it, that takes some 100 ms and 40 MB, which are given back; see
    /// [`Symbols::frames`](crate::sites::Symbols::frames). Without sites it costs nothing.
    #[must_use]
    pub fn resolved(mut self) -> Self {
        alloc_counter::exclude(|| {
            resolve(&mut self, |frames| Symbols::of_process().resolve(frames));
        });
        self
    }

    /// Looks up the functions and lines of [sites](super::CallReport::sites) that were recorded in any process, by
    /// the file of a program or library. The frames of other modules stay as they are. Those further out than the
    /// call's own function are left out.
    ///
    /// For several files, call this once for each.
    #[must_use]
    pub fn resolved_with(mut self, binary: &mut Binary) -> Self {
        alloc_counter::exclude(|| resolve(&mut self, |frames| binary.resolve(frames)));
        self
    }

    /// Does what [`resolved`](Self::resolved) does, and keeps what was found for the next report.
    #[cfg(feature = "recorder")]
    pub(crate) fn resolved_by(mut self, symbols: &mut Symbols) -> Self {
        resolve(&mut self, |frames| {
            symbols.refresh();
            symbols.resolve(frames)
        });
        self
    }
}

/// Looks up the frames of all these sites at once.
#[cfg(feature = "sites")]
pub(crate) fn look_up<'a>(
    sites: impl Iterator<Item = &'a mut SiteReport>,
    look_up: impl FnOnce(&[Frame]) -> Vec<Arc<[Frame]>>,
) {
    let mut sites: Vec<_> = sites.collect();
    // Many sites have the same frames.
    let mut places = HashMap::new();
    let mut frames: Vec<Frame> = Vec::new();
    for frame in sites.iter().flat_map(|site| &site.frames) {
        places.entry(Arc::as_ptr(frame)).or_insert_with(|| {
            frames.push(Frame::clone(frame));
            frames.len() - 1
        });
    }
    if frames.is_empty() {
        return;
    }
    let found = look_up(&frames);
    let found: Vec<Vec<_>> = { found.iter() }
        .map(|frames| frames.iter().cloned().map(Arc::new).collect())
        .collect();
    for site in &mut sites {
        let frames = site
            .frames
            .iter()
            .flat_map(|frame| &found[places[&Arc::as_ptr(frame)]]);
        site.frames = frames.cloned().collect();
    }
}

/// Looks up the frames of all sites, and leaves out those outside of their calls.
#[cfg(feature = "sites")]
fn resolve(report: &mut super::Report, by: impl FnOnce(&[Frame]) -> Vec<Arc<[Frame]>>) {
    let of_calls = report.calls.iter_mut().map(|call| &mut call.sites);
    let of_folded = report.folded.iter_mut().map(|folded| &mut folded.sites);
    let all = of_calls.chain(of_folded).chain([&mut report.sites]);
    look_up(all.flatten().flatten(), by);
    for call in &mut report.calls {
        if let Some(sites) = call.sites.take() {
            let function = Function {
                name: &call.name,
                file: &call.file,
                module: &call.module,
            };
            call.sites = Some(within(sites, &function));
        }
    }
    for folded in &mut report.folded {
        if let Some(sites) = folded.sites.take() {
            let function = Function {
                name: &folded.name,
                file: &folded.file,
                module: &folded.module,
            };
            folded.sites = Some(within(sites, &function));
        }
    }
}

/// A function in which sites are.
#[cfg(feature = "sites")]
#[derive(Clone, Copy)]
pub(crate) struct Function<'a> {
    pub(crate) name: &'a str,
    pub(crate) file: &'a str,
    /// May be empty, if it is not known.
    pub(crate) module: &'a str,
}

/// Leaves out the frames outside of a function, and adds up the sites that are then the same. Their frames were
/// [looked up](look_up) together.
#[cfg(feature = "sites")]
pub(crate) fn within(mut sites: Vec<SiteReport>, function: &Function<'_>) -> Vec<SiteReport> {
    let mut known = HashMap::new();
    for site in &mut sites {
        let mut frames = site.frames.iter();
        let place = frames.position(|frame| {
            *known
                .entry(Arc::as_ptr(frame))
                .or_insert_with(|| is_of(frame, function))
        });
        if let Some(place) = place {
            site.frames.truncate(place + 1);
            site.is_whole = true;
        }
    }
    // They were looked up together, so those that are equal are the same.
    let frames = |site: &SiteReport| site.frames.iter().map(Arc::as_ptr).collect::<Vec<_>>();
    SiteReport::merge(sites, frames)
}

/// Returns whether a frame is that of a function: the innermost such one has opened its call.
#[cfg(feature = "sites")]
fn is_of(frame: &Frame, of: &Function<'_>) -> bool {
    let Some(function) = &frame.function else {
        return false;
    };
    // Closures, and the futures of async functions, are parts of the function.
    let segments = || {
        function
            .rsplit("::")
            .filter(|it| !it.starts_with(['{', '<']))
    };
    let name = of.name.rsplit("::").next();
    if segments().next() != name {
        return false;
    }
    match &frame.file {
        Some(file) => Path::new(file).ends_with(Path::new(of.file)),
        None => function.contains(of.module),
    }
}

/// Writes a frame: its function and line, or its place in the file.
pub(crate) fn write_frame(f: &mut impl fmt::Write, frame: &Frame) -> fmt::Result {
    if let Some(function) = &frame.function {
        write!(f, "{}", Escaped(function))?;
    } else {
        write!(f, "{}", Escaped(&frame.address()))?;
    }
    if let (Some(file), Some(line)) = (&frame.file, frame.line) {
        write!(f, " at {}:{line}", Escaped(file))?;
    } else if let Some(why) = frame.unresolved {
        write!(f, " ({why})")?;
    }
    Ok(())
}

/// Whether a frame is of the way from the program to the recording of the allocation.
pub(crate) fn is_of_allocator(frame: &Frame) -> bool {
    // With line tables only, the names of inlined functions have no crate.
    const FILES: &[&str] = &["/alloc-counter/src/", "/tracer-alloc-counter-"];
    let is_known = |file: &str| FILES.iter().any(|part| file.contains(part));
    let name = crate_name(frame);
    // Closures and thread-locals of this crate are run by functions of these.
    matches!(name, "alloc_counter" | "__rustc" | "core" | "std")
        || name.starts_with("__r")
        || frame.file.as_deref().is_some_and(is_known)
}

/// Whether a frame is of the standard library or of this crate's allocator.
pub(crate) fn is_of_library(frame: &Frame) -> bool {
    const FILES: &[&str] = &["/rustc/", "/rust/deps/"];
    const SOURCES: &str = "/lib/rustlib/src/rust/";
    let is_known =
        |file: &str| FILES.iter().any(|start| file.starts_with(start)) || file.contains(SOURCES);
    frame.file.as_deref().is_some_and(is_known)
        || is_of_allocator(frame)
        || crate_name(frame) == "alloc"
}

/// Returns the name of the function's crate. A method's name may begin with its type,
/// `<alloc::vec::Vec<T> as …>::…`; if that is in no crate, the trait's crate counts: `<u8 as alloc::…>::…`.
fn crate_name(frame: &Frame) -> &str {
    let function = frame.function.as_deref().unwrap_or_default();
    let function = function.trim_start_matches(['<', '&']);
    let name = |path| str::split(path, "::").next().unwrap_or_default();
    match function.split_once(" as ") {
        Some((of_type, of_trait)) if !of_type.contains("::") => name(of_trait),
        _ => name(function),
    }
}
