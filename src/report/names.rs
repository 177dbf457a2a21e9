//! Names of functions that are shown together, with as much of each path as tells them apart.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Report;

/// Names of several functions: `get`, or `users::get` if another module's `get` is among them.
///
/// Functions of one name in one module have one name: their lines tell them apart.
#[derive(Debug, Default)]
pub(crate) struct Names<'a> {
    /// By module and name, the start of the part of the module that is shown. Functions with a unique
    /// name are left out.
    starts: HashMap<(&'a str, &'a str), usize>,
}

impl<'a> Names<'a> {
    /// Makes names for functions given by module and name, in any order, with repetitions.
    pub(crate) fn of(functions: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut functions: Vec<_> = functions.into_iter().collect();
        // A trace of thousands of calls has few functions, and texts are compared faster than segments.
        functions.sort_unstable();
        functions.dedup();
        // Sorted by name and then by the module's segments from the last, so that the module with the
        // longest common end is a neighbour.
        functions.sort_unstable_by(|(module, name), (other_module, other_name)| {
            let modules = || segments(module).cmp(segments(other_module));
            name.cmp(other_name).then_with(modules)
        });
        let mut starts = HashMap::new();
        for (place, (module, name)) in functions.iter().enumerate() {
            let neighbours = [place.checked_sub(1), Some(place + 1)];
            let others = { neighbours.into_iter().flatten() }
                .filter_map(|place| functions.get(place))
                .filter(|(_, other)| other == name);
            let shared = others.map(|(other, _)| shared_segments(module, other));
            if let Some(shared) = shared.max() {
                starts.insert((*module, *name), start_of_last(module, shared + 1));
            }
        }
        Self { starts }
    }

    /// Makes names for the functions of a report.
    pub(crate) fn in_report(report: &'a Report) -> Self {
        let calls = report.calls.iter().map(|it| (&*it.module, &*it.name));
        let folded = report.folded.iter().map(|it| (&*it.module, &*it.name));
        Self::of(calls.chain(folded))
    }

    /// Returns the name to show, not escaped; `?` for a function without one.
    pub(crate) fn get<'b>(&self, module: &'b str, name: &'b str) -> Cow<'b, str> {
        let shown = if name.is_empty() { "?" } else { name };
        match self.starts.get(&(module, name)) {
            Some(start) if !module.is_empty() => format!("{}::{shown}", &module[*start..]).into(),
            _ => shown.into(),
        }
    }
}

/// Returns a module's segments, the last one first; an empty path has none.
fn segments(module: &str) -> impl Iterator<Item = &str> {
    let segments = (!module.is_empty()).then(|| module.rsplit("::"));
    segments.into_iter().flatten()
}

fn shared_segments(one: &str, other: &str) -> usize {
    let pairs = segments(one).zip(segments(other));
    pairs.take_while(|(one, other)| one == other).count()
}

/// Returns the start of the last `count` segments.
fn start_of_last(module: &str, count: usize) -> usize {
    let ends = module.rmatch_indices("::").map(|(at, it)| at + it.len());
    ends.chain([0]).nth(count - 1).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(functions: &[(&str, &str)]) -> Vec<String> {
        let names = Names::of(functions.iter().copied());
        let shown = |function: &(&str, &str)| names.get(function.0, function.1).into_owned();
        functions.iter().map(shown).collect()
    }

    #[test]
    fn a_name_of_its_own_stands_alone() {
        assert_eq!(
            names(&[
                ("shop::users", "get"),
                ("shop::users", "list"),
                ("shop", "main")
            ]),
            ["get", "list", "main"]
        );
    }

    #[test]
    fn functions_of_one_name_have_as_much_of_their_modules_as_tells_them_apart() {
        assert_eq!(
            names(&[
                ("shop::users", "get"),
                ("shop::orders", "get"),
                ("shop::v1::cart", "get"),
                ("shop::v2::cart", "get"),
                ("other::v2::cart", "get"),
                ("shop::orders", "list"),
            ]),
            [
                "users::get",
                "orders::get",
                "v1::cart::get",
                "shop::v2::cart::get",
                "other::v2::cart::get",
                "list"
            ]
        );
    }

    #[test]
    fn a_module_at_the_end_of_another_is_shown_whole() {
        assert_eq!(
            names(&[("cart", "get"), ("shop::cart", "get"), ("", "get")]),
            ["cart::get", "shop::cart::get", "get"]
        );
    }

    #[test]
    fn one_function_opened_in_several_places_has_one_name() {
        assert_eq!(names(&[("shop", "get"), ("shop", "get")]), ["get", "get"]);
    }

    #[test]
    fn whatever_stands_in_a_report_gets_a_name() {
        assert_eq!(
            names(&[("", ""), ("shop", ""), ("é::::é", "x"), ("é", "x")]),
            ["?", "shop::?", "::é::x", "é::x"]
        );
        assert_eq!(Names::default().get("shop", "get"), "get");
    }
}
