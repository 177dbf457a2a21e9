//! What is drawn over the screen: the help, and the menu of columns.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Clear};

use super::style::Colours;
use super::width;
use crate::top::keys::HELP;
use crate::top::state::{Popup, State};

pub(super) fn draw(frame: &mut Frame<'_>, state: &State, colours: Colours) {
    match state.popup {
        None => {}
        Some(Popup::Help) => {
            let keys = HELP.iter().map(|(key, _)| width(key)).max().unwrap_or(0);
            let lines = HELP
                .iter()
                .map(|(key, what)| format!("{key:<keys$}  {what}"));
            boxed(frame, "Keys", &lines.collect::<Vec<_>>(), None, colours);
        }
        Some(Popup::Sort(selected)) => {
            let columns: Vec<_> = state.columns().headings().map(str::to_owned).collect();
            boxed(frame, "Sort by", &columns, Some(selected), colours);
        }
    }
}

fn boxed(
    frame: &mut Frame<'_>,
    title: &'static str,
    lines: &[String],
    selected: Option<usize>,
    colours: Colours,
) {
    let area = frame.area();
    let texts = lines.iter().map(|line| width(line)).max().unwrap_or(0);
    let wide = u16::try_from(texts.max(width(title)) + 2).unwrap_or(u16::MAX);
    let high = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let (wide, high) = (wide.min(area.width), high.min(area.height));
    let place = Rect {
        x: area.x + (area.width - wide) / 2,
        y: area.y + (area.height - high) / 2,
        width: wide,
        height: high,
    };
    let block = Block::bordered().title(title);
    let inner = block.inner(place);
    frame.render_widget(Clear, place);
    frame.render_widget(block, place);
    let top = selected.map_or(0, |it| (it + 1).saturating_sub(inner.height.into()));
    let shown = lines.iter().enumerate().skip(top).take(inner.height.into());
    let shown = shown.map(|(number, line)| {
        let style = if selected == Some(number) {
            colours.selected()
        } else {
            Style::new()
        };
        let pad = usize::from(inner.width).saturating_sub(width(line));
        Line::styled(format!("{line}{}", " ".repeat(pad)), style)
    });
    frame.render_widget(Text::from(shown.collect::<Vec<_>>()), inner);
}
