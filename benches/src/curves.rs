//! Curves of cost by size: races whose rivals are one thing at several sizes.

use crate::race::{Race, wants_table};

/// Races of one thing at several sizes, in one table.
#[derive(Debug)]
#[must_use = "curves are run for their figures"]
pub struct Curves<'a> {
    title: &'a str,
    curves: Vec<Race<'a>>,
}

impl<'a> Curves<'a> {
    /// A table without curves.
    pub fn new(title: &'a str) -> Self {
        Self {
            title,
            curves: Vec::new(),
        }
    }

    /// Adds a race whose rivals are named after their sizes, smallest first.
    pub fn curve(mut self, race: Race<'a>) -> Self {
        self.curves.push(race);
        self
    }

    /// Runs all races through criterion, or for a table: a line for each curve, with the median
    /// nanoseconds at each size, and the ratio of the last to the first.
    pub fn run(self) {
        if !wants_table() {
            return self.curves.into_iter().for_each(Race::run_in_criterion);
        }
        println!("| {} | size: median ns | last / first |", self.title);
        println!("|---|---|--:|");
        for curve in self.curves {
            let title = curve.title();
            let medians = curve.medians();
            let points: Vec<_> = medians
                .iter()
                .map(|(size, median)| format!("{size}: {median:.1}"))
                .collect();
            let ratio = match medians.as_slice() {
                [(_, first), .., (_, last)] => last / first,
                _ => 1.0,
            };
            println!("| {title} | {} | {ratio:.2} |", points.join(" · "));
        }
        println!();
    }
}
