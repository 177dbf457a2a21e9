//! The figures of allocation sites beside those that are counted.

use tracer::Report;
use tracer::alloc::Counts;
use tracer::report::SiteReport;

pub(crate) fn sum<'a>(sites: impl IntoIterator<Item = &'a SiteReport>) -> Counts {
    let mut sum = Counts::ZERO;
    for site in sites {
        sum.allocations += site.allocations;
        sum.reallocations += site.reallocations;
        sum.bytes_allocated += site.bytes_allocated;
        assert_eq!(site.error_bytes, 0);
    }
    sum
}

/// The counts of which sites tell.
pub(crate) fn without_frees(mut counts: Counts) -> Counts {
    (counts.deallocations, counts.bytes_deallocated) = (0, 0);
    counts
}

/// Checks that the sites of each call sum to its own figures, and all sites to the trace's.
pub(crate) fn check_sums(report: &Report) {
    let mut all = report.sites_not_recorded.unwrap();
    let calls = report.calls.iter();
    let calls = calls.map(|call| (&call.name, call.self_counts, &call.sites));
    let folded = report.folded.iter();
    let folded = folded.map(|call| (&call.name, call.self_counts, &call.sites));
    for (name, own, sites) in calls.chain(folded) {
        let own = without_frees(own.unwrap());
        let sites = sum(sites.as_ref().unwrap());
        assert_eq!(sites, own, "{name}: {report:#}");
        all += sites;
    }
    all += sum(report.sites.as_ref().unwrap());
    assert_eq!(without_frees(all), without_frees(report.total.unwrap()));
}
