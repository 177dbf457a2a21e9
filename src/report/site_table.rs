//! Allocation sites as a table of functions and lines.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use alloc_counter::Site;

use crate::report::escape::Escaped;
use crate::report::site::{
    Function, SiteReport, is_of_allocator, is_of_library, look_up, within, write_frame,
};
use crate::report::units::{count, plural};
use crate::sites::modules::Frames;
use crate::sites::{Frame, Symbols, Unresolved};

/// The sites that `{}` shows, and the callers of each.
const MOST_SITES: usize = 10;
const MOST_FRAMES: usize = 4;

/// Places that allocated, with their functions and lines.
///
/// `{}` shows the ten heaviest, each with the innermost function that is neither of the standard library nor of
/// this crate, and three of its callers. `{:#}` shows all of them, with all frames.
///
/// ```
/// # #[global_allocator] static A: tracer::Counting = tracer::Counting::system();
/// use tracer::alloc;
/// use tracer::report::SiteTable;
///
/// let recorded = alloc::sites(|| std::hint::black_box(vec![7_u8; 1000]));
/// let table = SiteTable::new(&recorded.sites.expect("Counting is installed"));
/// println!("{table}");
/// assert!(table.to_string().starts_with("1 site, 1,000 bytes\n"));
/// ```
#[derive(Clone, Debug)]
pub struct SiteTable {
    sites: Vec<SiteReport>,
}

impl SiteTable {
    /// Looks up the functions and lines of sites that were recorded in this process.
    ///
    /// Costs some 100 ms for a program with 80 MB of debug information: see [`Symbols::frames`]. This is
    /// overhead, and in no figure of the program.
    pub fn new(sites: &[Site]) -> Self {
        alloc_counter::exclude(|| {
            let mut frames = Frames::of_process();
            let sites = sites.iter().map(|site| SiteReport::of(site, &mut frames));
            let mut sites: Vec<_> = sites.collect();
            look_up(sites.iter_mut(), |frames| {
                Symbols::of_process().resolve(frames)
            });
            Self { sites }
        })
    }

    /// Leaves out the frames outside of a function.
    pub(crate) fn within(self, function: &Function<'_>) -> Self {
        alloc_counter::exclude(|| Self {
            sites: within(self.sites, function),
        })
    }

    /// Puts those first that allocate most often.
    pub(crate) fn by_allocates(mut self) -> Self {
        let key = |site: &SiteReport| std::cmp::Reverse(site.allocates());
        alloc_counter::exclude(|| self.sites.sort_by_key(key));
        self
    }
}

impl fmt::Display for SiteTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: u64 = self.sites.iter().map(|site| site.bytes_allocated).sum();
        let sites = plural(self.sites.len() as u64, "site");
        writeln!(f, "{sites}, {}", plural(bytes, "byte"))?;
        let most = if f.alternate() {
            usize::MAX
        } else {
            MOST_SITES
        };
        let shown = &self.sites[..self.sites.len().min(most)];
        let bytes = column("bytes", shown, SiteReport::shown_bytes);
        let allocates = column("allocates", shown, |site| count(site.allocates()));
        let width = |column: &[String]| column.iter().map(|it| it.chars().count()).max();
        let (wide, narrow) = (width(&bytes).unwrap_or(0), width(&allocates).unwrap_or(0));
        writeln!(f, "{:>wide$}  {:>narrow$}  site", bytes[0], allocates[0])?;
        for (site, (bytes, allocates)) in shown.iter().zip(bytes[1..].iter().zip(&allocates[1..])) {
            write!(f, "{bytes:>wide$}  {allocates:>narrow$}  ")?;
            let indent = wide + narrow + 4;
            write_frames(site, f, indent)?;
        }
        let left = self.sites.len() - shown.len();
        if left > 0 {
            writeln!(f, "and {}", plural(left as u64, "more site"))?;
        }
        write_advice(shown, f)
    }
}

/// Says how to name the functions of modules that have no symbols.
fn write_advice(sites: &[SiteReport], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let frames = sites.iter().flat_map(|site| &site.frames);
    let stripped = frames.filter(|frame| frame.unresolved == Some(Unresolved::NoSymbols));
    let modules: BTreeSet<_> = stripped.filter_map(|it| it.module.as_deref()).collect();
    for module in modules {
        let module = Escaped(module);
        writeln!(
            f,
            "{module} has no symbols: `tracer symbolize --binary FILE`, with its file before it was stripped, names \
             the functions in a report as JSON"
        )?;
    }
    Ok(())
}

/// Returns the cells of a column under its name.
fn column(name: &str, sites: &[SiteReport], show: impl Fn(&SiteReport) -> String) -> Vec<String> {
    let cells = sites.iter().map(show);
    std::iter::once(name.to_owned()).chain(cells).collect()
}

fn write_frames(site: &SiteReport, f: &mut fmt::Formatter<'_>, indent: usize) -> fmt::Result {
    let all = site.frames.iter();
    let all = all.map(Arc::as_ref);
    let mut frames: Vec<&Frame> = all.skip_while(|frame| is_of_allocator(frame)).collect();
    let mut has_more = !site.is_whole;
    if !f.alternate() {
        let innermost = frames.first().copied();
        frames.retain(|frame| !is_of_library(frame));
        if frames.is_empty() {
            frames.extend(innermost);
        }
        has_more |= frames.len() > MOST_FRAMES;
        frames.truncate(MOST_FRAMES);
    }
    if frames.is_empty() {
        return writeln!(f, "(the stack could not be walked)");
    }
    for (place, frame) in frames.iter().enumerate() {
        if place > 0 {
            write!(f, "{:indent$}  in ", "")?;
        }
        write_frame(f, frame)?;
        writeln!(f)?;
    }
    if has_more {
        writeln!(f, "{:indent$}  in …", "")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stripped_program_has_offsets_and_says_how_to_name_them() {
        let frame = |offset| {
            Arc::new(Frame {
                function: None,
                file: None,
                line: None,
                module: Some("service".into()),
                build_id: Some("ab01ff".into()),
                offset,
                unresolved: Some(Unresolved::NoSymbols),
            })
        };
        let site = |bytes_allocated, offsets: [u64; 2]| SiteReport {
            frames: offsets.map(frame).to_vec(),
            is_whole: true,
            allocations: 2,
            reallocations: 0,
            bytes_allocated,
            error_bytes: 0,
        };
        let table = SiteTable {
            sites: vec![site(3000, [0x1234, 0x2000]), site(10, [0x1240, 0x2000])],
        };
        let expected = "\
2 sites, 3,010 bytes
bytes  allocates  site
3,000          2  service+0x1234 (no symbols)
                    in service+0x2000 (no symbols)
   10          2  service+0x1240 (no symbols)
                    in service+0x2000 (no symbols)
service has no symbols: `tracer symbolize --binary FILE`, with its file before it was stripped, names the functions in a report as JSON
";
        assert_eq!(table.to_string(), expected);
    }
}
