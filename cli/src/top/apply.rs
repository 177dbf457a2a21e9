//! What keys change in the state.

use tracer::Report;

use super::keys::{Action, Motion};
use super::model::Key;
use super::rows::{self, Order, Target};
use super::state::{Input, Latest, List, ListState, Popup, State};
use super::trace::OpenTrace;

/// The longest text that is typed, in characters.
const MOST_TYPED: usize = 100;

impl State {
    /// Does what a key says.
    pub(crate) fn apply(&mut self, action: Action, now_unix_ns: i64) {
        if action == Action::Quit {
            self.is_over = true;
        } else if let Some(input) = self.input.take() {
            self.typed(input, action, now_unix_ns);
        } else if let Some(popup) = self.popup.take() {
            self.in_popup(popup, action);
        } else {
            self.on_screen(action, now_unix_ns);
        }
    }

    fn typed(&mut self, mut input: Input, action: Action, now_unix_ns: i64) {
        let (Input::Search(text) | Input::Filter(text)) = &mut input;
        match action {
            Action::Type(typed) if text.chars().count() < MOST_TYPED && !typed.is_control() => {
                text.push(typed);
            }
            Action::Erase => {
                text.pop();
            }
            Action::Back => {
                if let Input::Filter(_) = input {
                    self.list_state_mut().filter.clear();
                }
                return;
            }
            Action::Open => return,
            Action::Move(motion) => self.moved(motion, now_unix_ns),
            _ => {}
        }
        match &input {
            Input::Filter(text) => self.list_state_mut().filter.clone_from(text),
            Input::Search(text) => {
                self.searched.clone_from(text);
                match action {
                    Action::Search => self.find(1, now_unix_ns),
                    Action::Type(_) | Action::Erase => self.find(0, now_unix_ns),
                    _ => {}
                }
            }
        }
        self.input = Some(input);
    }

    fn in_popup(&mut self, popup: Popup, action: Action) {
        let Popup::Sort(place) = popup else {
            return;
        };
        let last = self.columns().figures.len();
        let place = match action {
            // The menu is one page.
            Action::Move(motion) => motion.from(place, last, last),
            Action::Open => {
                self.list_state_mut().order = Order {
                    column: place,
                    // Figures the largest first, texts from A to Z.
                    is_descending: place < last,
                };
                return;
            }
            Action::Back | Action::Sort | Action::Help => return,
            _ => place,
        };
        self.popup = Some(Popup::Sort(place));
    }

    fn on_screen(&mut self, action: Action, now_unix_ns: i64) {
        match action {
            Action::Help => self.popup = Some(Popup::Help),
            Action::Search => self.input = Some(Input::Search(String::new())),
            Action::Filter if self.trace.is_none() => {
                self.input = Some(Input::Filter(self.list_state().filter.clone()));
            }
            Action::Sort if self.trace.is_none() => {
                self.popup = Some(Popup::Sort(self.list_state().order.column));
            }
            Action::Invert if self.trace.is_none() => {
                let order = &mut self.list_state_mut().order;
                order.is_descending = !order.is_descending;
            }
            Action::Open if self.trace.is_none() => self.open(now_unix_ns),
            Action::Back => self.back(),
            Action::Unfold | Action::Fold => {
                if let Some(trace) = &mut self.trace {
                    trace.unfold(action == Action::Unfold);
                }
            }
            Action::Move(motion) => self.moved(motion, now_unix_ns),
            Action::NextTab => self.turn(1),
            Action::PreviousTab => self.turn(self.tabs().len() - 1),
            Action::Tab(place) => {
                if let Some(tab) = self.tabs().get(place) {
                    self.go_to(*tab);
                }
            }
            _ => {}
        }
    }

    fn turn(&mut self, by: usize) {
        let tabs = self.tabs();
        let place = tabs.iter().position(|it| *it == self.tab).unwrap_or(0);
        self.go_to(tabs[(place + by) % tabs.len()]);
    }

    fn go_to(&mut self, tab: List) {
        self.tab = tab;
        self.close_route();
        self.trace = None;
    }

    fn close_route(&mut self) {
        self.route = None;
        self.of_route = Latest::NONE;
    }

    fn open(&mut self, now_unix_ns: i64) {
        let rows = self.rows(now_unix_ns);
        let Some(row) = rows.get(self.list_state().selected(&rows)) else {
            return;
        };
        match &row.target {
            Target::Route(name) => {
                self.route = Some(name.clone());
                self.lists[List::OfRoute as usize] = ListState::sorted_by(0, false);
            }
            Target::Kept(key) => self.trace = Some(OpenTrace::kept(*key)),
            Target::Running(key) => {
                if let Some((title, report)) = self.running(*key) {
                    self.trace = Some(OpenTrace::running(*key, &title, report));
                }
            }
        }
    }

    fn running(&self, key: Key) -> Option<(String, Report)> {
        let in_flight = self.in_flight.data.as_ref()?;
        let running = in_flight.requests.iter().find(|it| it.key == key)?;
        let title = rows::titled(&running.route, running.id.as_deref());
        Some((title, running.report.clone()))
    }

    fn back(&mut self) {
        let list = self.list_state();
        if self.trace.is_some() {
            self.trace = None;
        } else if !list.filter.is_empty() {
            self.list_state_mut().filter.clear();
        } else {
            self.close_route();
        }
    }

    fn moved(&mut self, motion: Motion, now_unix_ns: i64) {
        let page = self.page.max(1);
        if let Some(trace) = &mut self.trace {
            trace.moved(motion, page);
            return;
        }
        let rows = self.rows(now_unix_ns);
        let at = self.list_state().selected(&rows);
        let to = motion.from(at, page, rows.len());
        self.list_state_mut().select(&rows, to);
    }

    /// Goes to the next line with the text, from so many lines further on.
    fn find(&mut self, skipped: usize, now_unix_ns: i64) {
        let text = std::mem::take(&mut self.searched);
        if let Some(trace) = &mut self.trace {
            trace.find(&text, skipped);
        } else if !text.is_empty() {
            let rows = self.rows(now_unix_ns);
            let begin = self.list_state().selected(&rows) + skipped;
            let places = (0..rows.len()).map(|step| (begin + step) % rows.len());
            let found = { places }.find(|place| rows::contains(&rows[*place].text, &text));
            if let Some(place) = found {
                self.list_state_mut().select(&rows, place);
            }
        }
        self.searched = text;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::fetch::{Answer, Wanted};
    use super::super::model::{Overview, Problem, Route};
    use super::*;

    fn answer(routes: &[(&str, u64)]) -> Answer {
        let routes = routes.iter().map(|(name, ended)| Route {
            name: (*name).to_owned(),
            ended: *ended,
            ..Route::default()
        });
        Answer::Overview(Ok(Overview {
            routes: routes.collect(),
            ..Overview::default()
        }))
    }

    fn state() -> (State, Instant) {
        let every = Duration::from_secs(2);
        let mut state = State::new("a".to_owned(), true, every);
        let now = Instant::now();
        state.take(answer(&[("a", 30), ("b", 20), ("c", 10)]), now);
        (state, now)
    }

    #[test]
    fn the_selection_stays_with_its_row_and_what_is_selected_is_opened() {
        let (mut state, now) = state();
        state.apply(Action::Move(Motion::Down), 0);
        state.take(answer(&[("a", 30), ("b", 40), ("c", 50)]), now);
        let rows = state.rows(0);
        assert_eq!(state.list_state().selected(&rows), 1);
        state.take(answer(&[("a", 30), ("b", 60), ("c", 50)]), now);
        state.apply(Action::Open, 0);
        assert_eq!(state.wanted().route.as_deref(), Some("b"));
        state.apply(Action::Back, 0);
        assert_eq!(state.wanted(), Wanted::default());
        // Another one takes the place of a row that has gone.
        state.take(answer(&[("a", 30)]), now);
        state.apply(Action::Open, 0);
        assert_eq!(state.wanted().route.as_deref(), Some("a"));
        // An answer for what is no longer open.
        state.take(Answer::Route("b".to_owned(), Ok(Vec::new())), now);
        assert!(state.is_waiting());
    }

    #[test]
    fn a_trace_is_asked_for_until_it_is_there_each_time_it_is_opened() {
        let (mut state, now) = state();
        let key = Key {
            started_unix_ns: 5,
            trace: 7,
        };
        let report = || Box::new(tracer::Trace::new().report());
        for _ in 0..2 {
            state.trace = Some(OpenTrace::kept(key));
            assert_eq!(state.wanted().trace, Some(key));
            let problem = Problem("no".to_owned());
            state.take(Answer::Trace(key, Err(problem)), now);
            assert_eq!(state.wanted().trace, Some(key));
            state.take(Answer::Trace(key, Ok(report())), now);
            assert!(!state.is_waiting());
            assert_eq!(state.wanted(), Wanted::default());
            // It may be opened again before anything else is asked for.
            state.apply(Action::Back, 0);
        }
        let report = tracer::Trace::new().report();
        state.trace = Some(OpenTrace::running(key, "a", report));
        assert_eq!(state.wanted(), Wanted::default());
    }

    #[test]
    fn rates_are_between_two_answers_and_not_known_after_a_restart() {
        let (mut state, now) = state();
        assert!(state.rates.is_empty());
        let routes = answer(&[("a", 31), ("b", 5), ("d", 4)]);
        state.take(routes, now + Duration::from_secs(2));
        let mut rates: Vec<_> = state
            .rates
            .iter()
            .map(|(name, rate)| (&**name, *rate))
            .collect();
        rates.sort_unstable();
        assert_eq!(rates, [("a", 5), ("d", 20)]);
    }

    #[test]
    fn what_is_typed_is_searched_for_from_the_selection_on() {
        let (mut state, _) = state();
        let selected = |state: &State| {
            let rows = state.rows(0);
            rows[state.list_state().selected(&rows)].text.clone()
        };
        for action in [Action::Search, Action::Type('C'), Action::Search] {
            state.apply(action, 0);
        }
        assert_eq!(selected(&state), "c");
        state.apply(Action::Erase, 0);
        state.apply(Action::Type('a'), 0);
        state.apply(Action::Open, 0);
        assert_eq!((selected(&state), &state.input), ("a".to_owned(), &None));
        assert_eq!(state.wanted(), Wanted::default());
    }
}
