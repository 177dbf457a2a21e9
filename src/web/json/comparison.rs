//! Two requests side by side, as JSON.

use serde::Serialize;

use crate::report::Report;
use crate::report::duration::nanoseconds;
use crate::report::json::head::Head;
use crate::web::pairs::{Pair, Side};

/// Two requests, and the calls of both by path.
#[derive(Serialize)]
pub(in crate::web) struct ComparisonInJson<'a> {
    a: Head,
    b: Head,
    calls: Vec<PairInJson<'a>>,
}

#[derive(Serialize)]
struct PairInJson<'a> {
    name: &'a str,
    module: &'a str,
    file: &'a str,
    line: u32,
    depth: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<SideInJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<SideInJson>,
}

#[derive(Serialize)]
struct SideInJson {
    calls: u64,
    failures: u64,
    wall_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    allocates: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    net_bytes: Option<i64>,
}

impl<'a> ComparisonInJson<'a> {
    pub(in crate::web) fn of([a, b]: [&Report; 2], pairs: &[Pair<'a>]) -> Self {
        let side = |side: &Side| SideInJson {
            calls: side.calls,
            failures: side.failures,
            wall_ns: nanoseconds(side.wall),
            allocates: side.allocates,
            net_bytes: side.net_bytes,
        };
        let pair = |pair: &Pair<'a>| PairInJson {
            name: pair.name,
            module: pair.module,
            file: pair.file,
            line: pair.line,
            depth: pair.depth,
            a: pair.sides[0].as_ref().map(side),
            b: pair.sides[1].as_ref().map(side),
        };
        Self {
            a: Head::of(a),
            b: Head::of(b),
            calls: pairs.iter().map(pair).collect(),
        }
    }
}
