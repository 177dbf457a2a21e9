//! The allocation sites of each call.

use crate::read::snapshot::Snapshot;
use crate::report::{CallReport, SiteReport};
use crate::sites::modules::Frames;

use super::order::Order;

/// The sites of the calls and of the paths of folded calls, by their places, and those outside of all calls.
#[derive(Default)]
pub(super) struct CallSites {
    by_place: Vec<Option<Vec<SiteReport>>>,
    outside: Option<Vec<SiteReport>>,
}

impl CallSites {
    pub(super) fn of(snapshot: &Snapshot, order: &Order) -> Self {
        let mut sites = Self::default();
        let mut frames = Frames::of_process();
        sites.by_place = vec![None; order.len()];
        // Several strands may have calls on a path.
        let paths = snapshot.paths.iter().map(|_| Some(Vec::new()));
        sites.by_place.extend(paths);
        for (number, strand) in snapshot.strands.iter().enumerate() {
            let Some(of_strand) = &strand.sites else {
                continue;
            };
            for index in 0..strand.calls.len() {
                sites.by_place[order.place(number, index)] = Some(Vec::new());
            }
            sites.outside.get_or_insert_default();
            for (call, site) in of_strand {
                let place = order.find(*call).and_then(|it| sites.by_place.get_mut(it));
                let of_call = place.unwrap_or(&mut sites.outside);
                of_call
                    .get_or_insert_default()
                    .push(SiteReport::of(site, &mut frames));
            }
        }
        let all = sites.by_place.iter_mut().chain([&mut sites.outside]);
        for sites in all.flatten() {
            SiteReport::sort(sites);
        }
        sites
    }

    /// Takes the sites of the path of folded calls with this place.
    pub(super) fn of_path(&mut self, place: usize) -> Option<Vec<SiteReport>> {
        self.by_place.get_mut(place)?.take()
    }

    /// Moves the sites into their calls. Returns those outside.
    pub(super) fn put_into(self, calls: &mut [CallReport]) -> Option<Vec<SiteReport>> {
        for (call, sites) in calls.iter_mut().zip(self.by_place) {
            call.sites = sites;
        }
        self.outside
    }
}
