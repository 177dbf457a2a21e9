//! What the screen shows now: the data, the lists and traces that are open, and what answers change.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::fetch::{Answer, Wanted};
use super::keys::Mode;
use super::model::{InFlight, Kept, Overview, Problem};
use super::rows::{self, Columns, Order, Row, Target};
use super::trace::OpenTrace;

/// A list of requests or routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Routes,
    InFlight,
    Kept,
    Failures,
    /// The kept requests of the route that is open.
    OfRoute,
}

/// The last answer to a question, which stays when later ones fail.
#[derive(Debug)]
pub(crate) struct Latest<T> {
    pub(crate) data: Option<T>,
    /// When it came.
    pub(crate) at: Option<Instant>,
    /// Why there is no newer one.
    pub(crate) problem: Option<Problem>,
}

impl<T> Latest<T> {
    pub(crate) const NONE: Self = Self {
        data: None,
        at: None,
        problem: None,
    };

    fn take(&mut self, answer: Result<T, Problem>, now: Instant) {
        match answer {
            Ok(data) => {
                *self = Self {
                    data: Some(data),
                    at: Some(now),
                    problem: None,
                };
            }
            Err(problem) => self.problem = Some(problem),
        }
    }
}

/// How a list is shown.
#[derive(Clone, Debug)]
pub(crate) struct ListState {
    pub(crate) order: Order,
    pub(crate) filter: String,
    /// What is selected, and its place, in case it is no longer there.
    selected: Option<Target>,
    place: usize,
}

impl ListState {
    pub(crate) const fn sorted_by(column: usize, is_descending: bool) -> Self {
        Self {
            order: Order {
                column,
                is_descending,
            },
            filter: String::new(),
            selected: None,
            place: 0,
        }
    }

    /// Returns the place of the selected row.
    pub(crate) fn selected(&self, rows: &[Row]) -> usize {
        let same = |row: &Row| Some(&row.target) == self.selected.as_ref();
        let there = rows.iter().position(same);
        there
            .unwrap_or(self.place)
            .min(rows.len().saturating_sub(1))
    }

    pub(crate) fn select(&mut self, rows: &[Row], place: usize) {
        self.place = place.min(rows.len().saturating_sub(1));
        self.selected = rows.get(self.place).map(|row| row.target.clone());
    }
}

/// A text that is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Search(String),
    Filter(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Popup {
    Help,
    /// The menu of columns, and the one that is selected.
    Sort(usize),
}

pub(crate) struct State {
    /// The address or the file's name.
    pub(crate) source: String,
    /// Whether it is a service, with requests in flight.
    pub(crate) is_live: bool,
    every: Duration,
    pub(crate) overview: Latest<Overview>,
    pub(crate) in_flight: Latest<InFlight>,
    pub(crate) of_route: Latest<Vec<Kept>>,
    pub(crate) tab: List,
    /// The route that is open.
    pub(crate) route: Option<String>,
    /// The trace that is open, above the route.
    pub(crate) trace: Option<OpenTrace>,
    pub(crate) input: Option<Input>,
    pub(crate) popup: Option<Popup>,
    /// Requests in ten seconds between the last two answers, by route.
    pub(crate) rates: HashMap<String, u64>,
    pub(crate) lists: [ListState; 5],
    /// The last text that was searched for.
    pub(crate) searched: String,
    /// How many lines a page has, as the view has drawn it.
    pub(crate) page: usize,
    pub(crate) is_over: bool,
}

impl State {
    pub(crate) fn new(source: String, is_live: bool, every: Duration) -> Self {
        Self {
            source,
            is_live,
            every,
            overview: Latest::NONE,
            in_flight: Latest::NONE,
            of_route: Latest::NONE,
            tab: List::Routes,
            route: None,
            trace: None,
            input: None,
            popup: None,
            rates: HashMap::new(),
            lists: [
                ListState::sorted_by(0, true),
                ListState::sorted_by(0, true),
                ListState::sorted_by(0, false),
                ListState::sorted_by(0, false),
                ListState::sorted_by(0, false),
            ],
            searched: String::new(),
            page: 1,
            is_over: false,
        }
    }

    /// Returns the tabs that there are.
    pub(crate) fn tabs(&self) -> &'static [List] {
        if self.is_live {
            &[List::Routes, List::InFlight, List::Kept, List::Failures]
        } else {
            &[List::Routes, List::Kept, List::Failures]
        }
    }

    /// Returns the list that is shown, or is below the trace that is open.
    pub(crate) fn list(&self) -> List {
        if self.route.is_some() {
            List::OfRoute
        } else {
            self.tab
        }
    }

    pub(crate) fn list_state(&self) -> &ListState {
        &self.lists[self.list() as usize]
    }

    pub(crate) fn list_state_mut(&mut self) -> &mut ListState {
        &mut self.lists[self.list() as usize]
    }

    pub(crate) fn columns(&self) -> Columns {
        match self.list() {
            List::Routes if self.is_live => rows::ROUTES,
            List::Routes => rows::ROUTES_OF_FILE,
            List::InFlight => rows::IN_FLIGHT,
            List::Kept | List::Failures | List::OfRoute => rows::KEPT,
        }
    }

    /// Returns the rows of the list, sorted and filtered. While a filter is typed, it applies already.
    pub(crate) fn rows(&self, now_unix_ns: i64) -> Vec<Row> {
        let kept = |list: &[Kept]| {
            let rows = list.iter().map(|it| rows::of_kept(it, now_unix_ns));
            rows.collect::<Vec<_>>()
        };
        let overview = self.overview.data.as_ref();
        let mut rows = match self.list() {
            List::Routes => {
                let routes = overview.into_iter().flat_map(|it| &it.routes);
                let rows = routes.map(|it| rows::of_route(it, &self.rates, self.is_live));
                rows.collect()
            }
            List::InFlight => {
                let in_flight = self.in_flight.data.iter().flat_map(|it| &it.requests);
                in_flight.map(rows::of_running).collect()
            }
            List::Kept => overview.map(|it| kept(&it.newest)).unwrap_or_default(),
            List::Failures => overview.map(|it| kept(&it.failures)).unwrap_or_default(),
            List::OfRoute => self.of_route.data.as_deref().map(kept).unwrap_or_default(),
        };
        let list = self.list_state();
        rows::arrange(&mut rows, list.order, &list.filter);
        rows
    }

    /// Returns what the source has to be asked for.
    pub(crate) fn wanted(&self) -> Wanted {
        let trace = self.trace.as_ref().filter(|it| !it.is_there());
        Wanted {
            in_flight: self.is_live && self.list() == List::InFlight && self.trace.is_none(),
            route: self.route.clone(),
            trace: trace.map(|it| it.key),
        }
    }

    /// Returns what is wrong with what is shown, and when it came.
    pub(crate) fn trouble(&self) -> Option<(&Problem, Option<Instant>)> {
        fn of<T>(it: &Latest<T>) -> Option<(&Problem, Option<Instant>)> {
            it.problem.as_ref().map(|problem| (problem, it.at))
        }
        let of_trace = self.trace.as_ref().and_then(|it| it.problem.as_ref());
        let of_trace = of_trace.map(|problem| (problem, None));
        let of_list = match self.list() {
            List::OfRoute => of(&self.of_route),
            List::InFlight => of(&self.in_flight),
            List::Routes | List::Kept | List::Failures => None,
        };
        of_trace.or(of_list).or_else(|| of(&self.overview))
    }

    /// Returns whether what is open has not come yet.
    pub(crate) fn is_waiting(&self) -> bool {
        match (&self.trace, self.list()) {
            (Some(trace), _) => !trace.is_there(),
            (None, List::OfRoute) => self.of_route.data.is_none(),
            (None, List::InFlight) => self.in_flight.data.is_none(),
            (None, _) => self.overview.data.is_none(),
        }
    }

    /// Returns since when there has been no answer, if the next one is late.
    pub(crate) fn late_since(&self, now: Instant) -> Option<Instant> {
        let patience = self.every * 2 + Duration::from_secs(1);
        let at = self.overview.at;
        at.filter(|at| now.saturating_duration_since(*at) > patience)
    }

    pub(crate) fn mode(&self) -> Mode {
        match (&self.input, &self.popup) {
            (Some(_), _) => Mode::Input,
            (None, Some(_)) => Mode::Popup,
            (None, None) => Mode::Screen,
        }
    }

    /// Takes an answer. What is no longer open, or there already, is passed over.
    pub(crate) fn take(&mut self, answer: Answer, now: Instant) {
        match answer {
            Answer::Overview(overview) => {
                if let Ok(overview) = &overview {
                    self.rates = rates(&self.overview, overview, now);
                }
                self.overview.take(overview, now);
            }
            Answer::InFlight(in_flight) => self.in_flight.take(in_flight, now),
            Answer::Route(name, requests) if self.route.as_ref() == Some(&name) => {
                self.of_route.take(requests, now);
            }
            Answer::Trace(key, report) => {
                let missing = |it: &&mut OpenTrace| it.key == key && !it.is_there();
                if let Some(trace) = self.trace.as_mut().filter(missing) {
                    trace.take(report.map(|it| *it));
                }
            }
            Answer::Route(..) => {}
        }
    }
}

/// Returns how many requests of each route would end in ten seconds, by two answers.
fn rates(before: &Latest<Overview>, now: &Overview, at: Instant) -> HashMap<String, u64> {
    let (Some(before), Some(since)) = (&before.data, before.at) else {
        return HashMap::new();
    };
    let ms = at.saturating_duration_since(since).as_millis();
    let ended = before.routes.iter().map(|it| (&*it.name, it.ended));
    let ended: HashMap<&str, u64> = ended.collect();
    let rate = |ended_now: u64, before: u64| {
        // A service that was started again counts from 0.
        let ended = u128::from(ended_now.checked_sub(before)?);
        let rate = (ended * 10_000 + ms / 2).checked_div(ms)?;
        u64::try_from(rate).ok()
    };
    let rates = now.routes.iter().filter_map(|it| {
        let before = ended.get(&*it.name).copied().unwrap_or(0);
        Some((it.name.clone(), rate(it.ended, before)?))
    });
    rates.collect()
}
