//! Live bytes over time, if they are known.

use std::time::Duration;

use crate::report::{CallReport, Report};

use super::lanes::end;

/// Returns times and the bytes that were live then, above those at the start of the outermost call.
///
/// A report has levels at the ends of calls and at checkpoints, each relative to its own start. They
/// form one line only if all calls are of one strand (levels of two strands at different times do not
/// add up), no two outermost calls overlap, and no figure is partial. Otherwise there is no line.
pub(super) fn levels(report: &Report) -> Option<Vec<(Duration, i64)>> {
    let strand = report.calls.first()?.strand;
    let mut levels = Vec::new();
    let mut last = Duration::ZERO;
    for call in &report.calls {
        if call.strand != strand {
            return None;
        }
        if call.parent.is_some() {
            continue;
        }
        if call.start < last || call.partial {
            return None;
        }
        last = end(report, call);
        along(call, last, &mut levels)?;
    }
    Some(levels)
}

fn along(call: &CallReport, end: Duration, levels: &mut Vec<(Duration, i64)>) -> Option<()> {
    let mut level = 0_i64;
    levels.push((call.start, level));
    for checkpoint in &call.checkpoints {
        level = level.wrapping_add(checkpoint.counts?.net_bytes());
        let at = call.start.saturating_add(checkpoint.at);
        levels.push((at.min(end), level));
    }
    levels.push((end, call.total?.net_bytes()));
    Some(())
}
