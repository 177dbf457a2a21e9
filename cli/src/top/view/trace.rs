//! One trace: the lines of its tree.

use ratatui::layout::Rect;
use ratatui::text::Line;

use super::style::Colours;
use crate::top::text::cut;
use crate::top::trace::OpenTrace;

pub(super) fn lines(trace: &OpenTrace, place: Rect, colours: Colours) -> Vec<Line<'static>> {
    let (of, height) = (usize::from(place.width), usize::from(place.height));
    let shown = trace.lines.iter().enumerate().skip(trace.top).take(height);
    shown
        .map(|(number, line)| {
            let text = cut(&line.text, trace.left, of);
            let style = if trace.found == Some(number) {
                colours.selected()
            } else {
                colours.of(line.look)
            };
            Line::styled(text, style)
        })
        .collect()
}
