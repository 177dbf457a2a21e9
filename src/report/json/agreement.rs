//! Test: the parser of written lines agrees with serde, on lines that are whole and on damaged ones.

use std::time::{Duration, UNIX_EPOCH};

use alloc_counter::Counts;
use proptest::prelude::*;

use crate::report::call_sum::CallSum;
use crate::report::{
    CallReport, CheckpointReport, Compared, FoldedReport, Outcome, Percentiles, Report, Request,
    SiteReport, Thread,
};
use crate::sites::{Frame, Unresolved};
use crate::store::ids::{SpanId, TraceId};

use super::sums::Sums;
use super::{Lines, line};

/// Fills reports with values made of random numbers.
struct Filler<'a>(std::iter::Cycle<std::slice::Iter<'a, u64>>);

impl Filler<'_> {
    fn number(&mut self) -> u64 {
        let number = *self.0.next().unwrap();
        // Small ones, too, and those with more digits than the parser reads.
        number >> (number % 64)
    }

    fn small(&mut self) -> u32 {
        u32::try_from(self.number() & u64::from(u32::MAX)).unwrap()
    }

    fn flag(&mut self) -> bool {
        self.0.next().unwrap().is_multiple_of(2)
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.flag().then(|| value(self))
    }

    fn some<T>(&mut self, mut value: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.number() % 3).map(|_| value(self)).collect()
    }

    fn text(&mut self) -> String {
        let parts = [
            "",
            "store",
            "src\\main.rs",
            "\"",
            "é\u{1f600}",
            "\u{202e}\n",
            "\0",
            "{},:",
        ];
        (0..3)
            .map(|_| parts[usize::try_from(self.number() % 8).unwrap()])
            .collect()
    }

    fn time(&mut self) -> Duration {
        Duration::from_nanos(self.number())
    }

    fn counts(&mut self) -> Counts {
        Counts {
            allocations: self.number(),
            reallocations: self.number(),
            deallocations: self.number(),
            bytes_allocated: self.number(),
            bytes_deallocated: self.number(),
        }
    }

    fn index(&mut self, before: usize) -> Option<usize> {
        let before = u64::try_from(before).unwrap();
        let index = self.maybe(Self::number)?.checked_rem(before)?;
        usize::try_from(index).ok()
    }

    fn outcome(&mut self) -> Outcome {
        match self.number() % 5 {
            0 => Outcome::Ok,
            1 => Outcome::Failed(self.text()),
            2 => Outcome::Panicked,
            3 => Outcome::Cancelled,
            _ => Outcome::Running,
        }
    }

    fn percentiles(&mut self) -> Percentiles<u64> {
        Percentiles {
            p50: self.number(),
            p95: self.number(),
            p99: self.number(),
            max: self.number(),
        }
    }

    fn compared(&mut self) -> Compared {
        Compared {
            calls: self.number(),
            wall: self.time(),
            allocates: self.maybe(Self::number),
            net_bytes: self.maybe(|it| it.number().cast_signed()),
            of: self.number(),
            requests: self.number(),
            usual_calls: self.percentiles(),
            usual_wall: self.percentiles().map(Duration::from_nanos),
            usual_allocates: self.maybe(Self::percentiles),
            usual_net_bytes: self.maybe(Self::percentiles),
        }
    }

    fn sites(&mut self) -> Vec<SiteReport> {
        self.some(|it| SiteReport {
            frames: it.some(|it| {
                std::sync::Arc::new(Frame {
                    function: it.maybe(Self::text),
                    file: it.maybe(Self::text),
                    line: it.maybe(Self::small),
                    module: it.maybe(|it| it.text().into()),
                    build_id: it.maybe(|it| it.text().into()),
                    offset: it.number(),
                    unresolved: it.maybe(|_| Unresolved::NotLookedUp),
                })
            }),
            is_whole: it.flag(),
            allocations: it.number(),
            reallocations: it.number(),
            bytes_allocated: it.number(),
            error_bytes: it.number(),
        })
    }

    fn call(&mut self, before: usize) -> CallReport {
        CallReport {
            name: self.text().into(),
            module: self.text().into(),
            file: self.text().into(),
            line: self.small(),
            id: self.maybe(Self::text),
            labels: self.some(|it| (it.text().into(), it.text())),
            parent: self.index(before),
            span_id: self.maybe(|it| SpanId::new(it.number() | 1).unwrap()),
            strand: self.small(),
            thread: Thread {
                number: self.small(),
                name: self.maybe(|it| it.text().into()),
            },
            start: self.time(),
            wall: self.time(),
            busy: self.time(),
            self_wall: self.time(),
            self_busy: self.time(),
            total: self.maybe(Self::counts),
            self_counts: self.maybe(Self::counts),
            peak_bytes: self.maybe(Self::number),
            outcome: self.outcome(),
            compared: self.maybe(|it| Box::new(it.compared())),
            moved: self.flag(),
            partial: self.flag(),
            checkpoints: self.some(|it| CheckpointReport {
                name: it.text().into(),
                at: it.time(),
                wall: it.time(),
                counts: it.maybe(Self::counts),
            }),
            sites: self.maybe(Self::sites),
        }
    }

    fn folded(&mut self, calls: usize, before: usize) -> FoldedReport {
        FoldedReport {
            name: self.text().into(),
            module: self.text().into(),
            file: self.text().into(),
            line: self.small(),
            parent: self.index(calls),
            within: self.index(before),
            calls: self.number(),
            running: self.number(),
            failures: self.number() % 2,
            cancelled: self.number() % 2,
            wall: self.time(),
            self_wall: self.time(),
            busy: self.time(),
            self_busy: self.time(),
            total: self.maybe(Self::counts),
            self_counts: self.maybe(Self::counts),
            moved: self.flag(),
            partial: self.flag(),
            sites: self.maybe(Self::sites),
        }
    }

    fn report(&mut self) -> Report {
        let mut place = 0..;
        let calls = self.some(|it| it.call(place.next().unwrap()));
        let mut place = 0..;
        let folded = self.some(|it| it.folded(calls.len(), place.next().unwrap()));
        Report {
            request: self.maybe(|it| {
                Box::new(Request {
                    name: it.text(),
                    id: it.maybe(Self::text),
                    labels: it.some(|it| (it.text().into(), it.text())),
                    wall: it.time(),
                    outcome: it.outcome(),
                    reasons: it.some(Self::text),
                    compared: it.maybe(Self::compared),
                })
            }),
            trace: self.number(),
            trace_id: self.maybe(|it| TraceId::new(u128::from(it.number()) << 64 | 1).unwrap()),
            span_id: self.maybe(|it| SpanId::new(it.number() | 1).unwrap()),
            parent_span: self.maybe(|it| SpanId::new(it.number() | 1).unwrap()),
            tracestate: self.maybe(Self::text),
            started: UNIX_EPOCH + Duration::from_nanos(self.number() / 4) - Duration::from_secs(60),
            elapsed: self.time(),
            grown: self.number() % 2,
            dropped: self.number() % 2,
            memory_bytes: self.number(),
            total: self.maybe(Self::counts),
            subscriber: self.maybe(Self::counts),
            calls,
            folded,
            sites: self.maybe(Self::sites),
            sites_not_recorded: self.maybe(Self::counts),
        }
    }
}

/// A way to damage a line, or to write it otherwise.
#[derive(Clone, Debug)]
enum Damage {
    Cut(prop::sample::Index),
    Remove(prop::sample::Index, usize),
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, String),
    Double(prop::sample::Index, prop::sample::Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    let byte = prop::sample::select(&b"\"\\{}[],:0129-.eEnutrlf \t\r\x0c\x01aF\xe9"[..]);
    prop_oneof![
        at().prop_map(Damage::Cut),
        (at(), 1..40_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        (at(), byte).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (at(), "[\"\\\\{}\\[\\],:019.e nul]{1,3}").prop_map(|(at, text)| Damage::Insert(at, text)),
        (at(), at(), 1..80_usize).prop_map(|(from, to, length)| Damage::Double(from, to, length)),
    ]
}

impl Damage {
    fn apply(&self, line: &mut Vec<u8>) {
        let end = |at: usize, length: usize| (at + length).min(line.len());
        match self {
            _ if line.is_empty() => {}
            Self::Cut(at) => line.truncate(at.index(line.len())),
            Self::Remove(at, length) => {
                let at = at.index(line.len());
                line.drain(at..end(at, *length));
            }
            Self::Replace(at, byte) => {
                let at = at.index(line.len());
                line[at] = *byte;
            }
            Self::Insert(at, text) => {
                let at = at.index(line.len());
                line.splice(at..at, text.bytes());
            }
            Self::Double(from, to, length) => {
                let (from, to) = (from.index(line.len()), to.index(line.len()));
                let part = line[from..end(from, *length)].to_vec();
                line.splice(to..to, part);
            }
        }
    }
}

/// Checks what the parser makes of a line. Returns whether it reads the line.
fn agrees(text: &str) -> bool {
    let by_serde = serde_json::from_str::<Report>(text).ok();
    let written = Report::written(text);
    let sums = Sums::written(text);
    // Without its self time, a call is a part of a report and no sum.
    assert!(sums.is_none() || written.is_some());
    let Some(report) = written else {
        return false;
    };
    assert_eq!(Some(&report), by_serde.as_ref(), "{text}");
    if let Some(sums) = &sums {
        let calls: Vec<_> = report.calls.iter().map(CallSum::of).collect();
        assert_eq!(sums.total, report.total);
        assert_eq!(format!("{:?}", sums.calls), format!("{calls:?}"));
        assert_eq!(sums.folded, report.folded);
    } else {
        assert!(!text.contains("\"self_wall_ns\""), "{text}");
    }
    true
}

proptest! {
    #[test]
    fn a_written_line_is_read_as_by_serde_or_left_to_it(
        numbers in prop::collection::vec(any::<u64>(), 1..60),
        damages in prop::collection::vec(damage(), 1..3),
    ) {
        let report = Filler(numbers.iter().cycle()).report();
        let written = line(&report).unwrap();
        let text = std::str::from_utf8(&written).unwrap();
        // All of it is read, except for numbers of 20 digits.
        let mut digits = text.split(|it: char| !it.is_ascii_digit()).map(str::len);
        prop_assert!(agrees(text) || digits.any(|it| it >= 20), "{}", text);
        prop_assert_eq!(serde_json::from_str::<Report>(text).ok(), Report::written(text).or_else(|| Some(report.clone())));
        let mut damaged = written.clone();
        for damage in &damages {
            damage.apply(&mut damaged);
        }
        if let Ok(text) = std::str::from_utf8(&damaged) {
            agrees(text);
        }
    }
}

#[test]
fn a_line_is_read_whole_whatever_one_byte_of_it_becomes() {
    let numbers: Vec<u64> = (1..200_u64)
        .map(|it| it.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 4)
        .collect();
    let report = (0..numbers.len())
        .map(|skip| Filler(numbers[skip..].iter().cycle()).report())
        .find(|report| {
            report.calls.len() == 2 && report.folded.len() == 2 && report.request.is_some()
        });
    let written = line(&report.unwrap()).unwrap();
    assert!(agrees(std::str::from_utf8(&written).unwrap()));
    for at in 0..written.len() {
        for byte in *b"\"0,}" {
            let mut damaged = written.clone();
            damaged[at] = byte;
            if let Ok(text) = std::str::from_utf8(&damaged) {
                agrees(text);
            }
        }
    }
}

#[test]
fn endings_of_a_line_are_those_of_serde() {
    let report = Filler([1].iter().cycle()).report();
    let text = String::from_utf8(line(&report).unwrap()).unwrap();
    for end in ["", "\n", "\r\n", " ", "\t\n", "\u{c}", "}", "\0", "x"] {
        let text = format!("{}{end}", text.trim_end());
        assert_eq!(
            Lines::new(text.as_bytes()).next().unwrap().ok(),
            serde_json::from_str(&text).ok(),
            "{end:?}"
        );
        agrees(&text);
    }
}
