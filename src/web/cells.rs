//! What the lines of a waterfall have in common, of one call and of several.

use alloc_counter::Counts;
use maud::{Markup, html};

use crate::report::Compared;
use crate::report::units::{bytes, or_unknown};

use super::charts;

/// Says how deep a call is, for those who don't see the indent.
pub(super) fn level(depth: usize) -> Markup {
    html! { i { ", level " (depth + 1) } }
}

/// Makes the cell with the bytes that calls allocated themselves. `heap`: those of the request.
pub(super) fn self_bytes(own: Option<Counts>, heap: u64) -> Markup {
    let bytes_allocated = own.map(|it| it.bytes_allocated);
    let part = charts::part(bytes_allocated.unwrap_or(0).into(), heap.into());
    html! {
        td {
            @if bytes_allocated.unwrap_or(0) > 0 { (charts::bar(false, 0, part, &[])) } @else { svg aria-hidden="true" {} }
            small { (or_unknown(bytes_allocated, bytes)) }
        }
    }
}

/// Makes the cell with the peak, and what is kept of it.
pub(super) fn peak(
    peak_bytes: Option<u64>,
    total: Option<Counts>,
    compared: Option<&Compared>,
) -> Markup {
    let net_bytes = total.map_or(0, |total| total.net_bytes());
    let usual = compared.and_then(|it| it.usual_net_bytes);
    html! {
        td {
            (or_unknown(peak_bytes, bytes))
            @if net_bytes > 0 {
                small.warm[compared.is_some_and(Compared::net_bytes_stand_out)] { "keeps " (bytes(net_bytes.unsigned_abs())) }
                @if let Some(usual) = usual { small { "usual " (bytes(usual.p50)) } }
            }
        }
    }
}
