//! Allocation sites as paths below the calls.

use std::collections::HashMap;
use std::sync::Arc;

use alloc_counter::Counts;

use crate::report::site::is_of_library;
use crate::report::{Report, SiteReport};
use crate::sites;

use super::{Frame, Hotspots};

/// The functions' numbers by their frames, which sites share; `None` for those that are not shown. The frames live
/// longer than this.
type Known = HashMap<*const sites::Frame, Option<usize>>;

impl Hotspots {
    /// Adds the sites of a report whose calls were added last, its folded ones on these paths.
    pub(super) fn add_sites(&mut self, report: &Report, folded: &[usize]) {
        let mut known = Known::new();
        let of_calls = report.calls.iter().map(|call| &call.sites);
        let of_folded = report.folded.iter().map(|folded| &folded.sites);
        let paths = [&self.places[..], folded].concat();
        for (sites, path) in of_calls.chain(of_folded).zip(paths) {
            for site in sites.iter().flatten() {
                self.add_site(Some(path), site, &mut known);
            }
        }
        for site in report.sites.iter().flatten() {
            self.add_site(None, site, &mut known);
        }
    }

    fn add_site(&mut self, call: Option<usize>, site: &SiteReport, known: &mut Known) {
        let counts = Counts {
            allocations: site.allocations,
            reallocations: site.reallocations,
            bytes_allocated: site.bytes_allocated,
            ..Counts::ZERO
        };
        let mut path = call;
        for frame in site.frames.iter().rev() {
            let function = *known
                .entry(Arc::as_ptr(frame))
                .or_insert_with(|| (!is_of_library(frame)).then(|| self.function_of(frame)));
            if let Some(function) = function {
                path = Some(self.add_function(path, function, counts));
            }
        }
        if path == call
            && let Some(place) = site.place()
        {
            let function = self.function_of(place);
            path = Some(self.add_function(path, function, counts));
        }
        if path == call {
            // The stack could not be walked.
            return;
        }
        if let Some(line) = path {
            let node = self.paths.get_mut(line);
            node.totals.own_site(counts);
            self.functions
                .get_mut(node.function)
                .totals
                .own_site(counts);
        }
        if let Some(call) = call {
            let node = self.paths.get_mut(call);
            node.totals.give_to_site(counts);
            let function = self.functions.get_mut(node.function);
            function.totals.give_to_site(counts);
        }
    }

    fn function_of(&mut self, frame: &sites::Frame) -> usize {
        let unknown = frame.address();
        self.functions.number(frame_of(frame, &unknown))
    }

    /// Adds what was allocated inside a function. Returns its path.
    fn add_function(&mut self, around: Option<usize>, function: usize, counts: Counts) -> usize {
        let inside = self.paths.number(around, function);
        let node = self.paths.get_mut(inside);
        node.totals.add_site(counts, node.is_within);
        let function = self.functions.get_mut(node.function);
        function.totals.add_site(counts, node.is_within);
        inside
    }
}

/// `unknown`: the name of a function that is not known.
fn frame_of<'a>(frame: &'a sites::Frame, unknown: &'a str) -> Frame<'a> {
    let (module, name) = match &frame.function {
        Some(function) => split(function),
        None => ("", unknown),
    };
    Frame {
        name,
        module,
        file: frame.file.as_deref().unwrap_or_default(),
        line: frame.line.unwrap_or(0),
        is_site: true,
    }
}

/// Splits `module::name`. A closure's name includes that of its function: `module::name::{closure#0}`. A method of
/// a generic type, or of a trait, has no module: `<module::Type as Trait>::name`.
fn split(function: &str) -> (&str, &str) {
    if function.contains('<') {
        return ("", function);
    }
    let mut end = function.len();
    while let Some(place) = function[..end].rfind("::") {
        if !function[place + 2..].starts_with('{') {
            return (&function[..place], &function[place + 2..]);
        }
        end = place;
    }
    ("", function)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closure_has_the_name_of_its_function() {
        for (function, module, name) in [
            ("words::index::split", "words::index", "split"),
            ("words::main::{{closure}}", "words", "main::{{closure}}"),
            (
                "words::load::{closure#0}::{closure#1}",
                "words",
                "load::{closure#0}::{closure#1}",
            ),
            ("main", "", "main"),
            ("{closure#0}", "", "{closure#0}"),
            ("a::{closure#0}", "", "a::{closure#0}"),
            ("", "", ""),
            ("::", "", ""),
            (
                "<words::Index as core::ops::drop::Drop>::drop",
                "",
                "<words::Index as core::ops::drop::Drop>::drop",
            ),
            ("words::Map<K,V>::grow", "", "words::Map<K,V>::grow"),
        ] {
            assert_eq!(split(function), (module, name), "{function}");
        }
    }
}
