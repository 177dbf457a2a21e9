//! The figures of the recorder, of the tracer and of the process.

use std::collections::BTreeMap;

use crate::recorder::{Recorder, Statistics};
use crate::store::memory::memory;

use super::text::Text;

pub(super) fn write(recorder: &Recorder, text: &mut Text) {
    let statistics = recorder.statistics();
    let bounds = recorder.bounds();
    for (name, help, value) in [
        (
            "tracer_recorder_reports",
            "Kept reports in memory.",
            statistics.in_memory,
        ),
        (
            "tracer_recorder_reports_bytes",
            "Size of the kept reports in memory.",
            statistics.in_memory_bytes,
        ),
        (
            "tracer_recorder_reports_waiting",
            "Kept requests whose reports have yet to be built.",
            statistics.waiting,
        ),
        (
            "tracer_recorder_memory_limit_bytes",
            "Memory that the recorder may take.",
            bounds.memory_bytes,
        ),
        ("tracer_recorder_names", "Names of routes.", bounds.names),
        (
            "tracer_recorder_names_limit",
            "Names of routes that there may be; requests of further ones are of the route (other).",
            bounds.most_names,
        ),
    ] {
        text.gauge(name, help).value(&[], value);
    }
    for (name, help, value) in [
        (
            "tracer_recorder_reports_evicted",
            "Kept reports that gave way to newer ones.",
            statistics.evicted,
        ),
        (
            "tracer_recorder_calls_not_compared",
            "Calls that are not in a baseline, because memory ran out.",
            statistics.not_compared,
        ),
        (
            "tracer_recorder_policy_panics",
            "How often a rule of the program panicked.",
            statistics.policy_panics,
        ),
    ] {
        text.counter(name, help).total(&[], value);
    }
    sinks(&statistics, text);
    process(text);
}

fn sinks(statistics: &Statistics, text: &mut Text) {
    // Two sinks may have one name; a sample may be there only once.
    let mut sinks: BTreeMap<&str, [u64; 3]> = BTreeMap::new();
    for sink in &statistics.sinks {
        let sums = sinks.entry(&sink.name).or_default();
        for (sum, more) in sums.iter_mut().zip([sink.taken, sink.failed, sink.dropped]) {
            *sum += more;
        }
    }
    let help = "Kept reports that were offered to a sink.";
    let mut family = text.counter("tracer_recorder_sink_reports", help);
    for (sink, counts) in sinks {
        for (result, count) in ["taken", "failed", "dropped"].into_iter().zip(counts) {
            family.total(&[("sink", sink), ("result", result)], count);
        }
    }
}

fn process(text: &mut Text) {
    let memory = memory();
    let help = "Memory of the records of all traces, which is reused.";
    let mut records = text.gauge("tracer_records_bytes", help);
    records.value(&[], memory.held_bytes);
    let Some(process) = alloc_counter::process() else {
        return;
    };
    let help = "Memory of the tracer itself: records, reports and baselines.";
    let mut own = text.gauge("tracer_own_live_bytes", help);
    own.value(&[], process.overhead.net_bytes());
    let help = "Bytes that the process has allocated and not freed.";
    let mut live = text.gauge("tracer_process_live_bytes", help);
    live.value(&[], process.counts.net_bytes());
    for (name, help, value) in [
        (
            "tracer_process_allocations",
            "How often the process allocated or reallocated.",
            process.counts.allocates(),
        ),
        (
            "tracer_process_allocated_bytes",
            "Bytes that the process allocated.",
            process.counts.bytes_allocated,
        ),
        (
            "tracer_process_freed_bytes",
            "Bytes that the process freed.",
            process.counts.bytes_deallocated,
        ),
    ] {
        text.counter(name, help).total(&[], value);
    }
}
