//! The search: a form, and the kept requests that its query finds.

use std::time::SystemTime;

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Serialize;

use crate::report::json::report::unix_ns;
use crate::report::units::{count, plural};
use crate::search::found::{Column, Order};
use crate::search::parse::Parameters;
use crate::search::{Outcomes, Query};

use super::find::{self, InFiles, Results};
use super::json::KeptInJson;
use super::layout::{field_value, shown};
use super::requests::Row;
use super::{Asked, Mounted, Refused, json, layout, requests};

/// Number of requests on a page.
const ON_PAGE: usize = 50;
/// Number of routes that the form offers.
const MOST_ROUTES: usize = 500;
/// The most pages.
const MOST_PAGES: usize = 40;

/// The parameters besides those of the query.
const OTHERS: [&str; 4] = ["sort", "order", "page", "format"];

/// What a search's address says.
struct State {
    query: Query,
    order: Order,
    /// From 1.
    page: usize,
}

impl State {
    fn of(asked: &Asked) -> Result<Self, Refused> {
        let parameters = Parameters::of(&asked.raw_query)?;
        parameters.check(&OTHERS)?;
        let names = Column::ALL.map(Column::name).join(", ");
        let by = parameters.read("sort", format!("one of {names}"), |name| {
            Column::ALL.into_iter().find(|it| it.name() == name)
        })?;
        let by = by.unwrap_or(Column::Started);
        let expected = "ascending or descending";
        let is_ascending = parameters.read("order", expected, |order| match order {
            "ascending" => Some(true),
            "descending" => Some(false),
            _ => None,
        })?;
        let page = parameters.read("page", format!("a page from 1 to {MOST_PAGES}"), |page| {
            page.parse().ok().filter(|it| (1..=MOST_PAGES).contains(it))
        })?;
        Ok(Self {
            query: Query::of(&parameters)?,
            order: Order {
                by,
                is_ascending: is_ascending.unwrap_or(by.is_text()),
            },
            page: page.unwrap_or(1),
        })
    }

    /// Returns the address of these results in another order, or another page of them.
    fn link(&self, asked: &Asked, order: Order, page: usize) -> String {
        let mut parts = vec![self.query.to_string()];
        parts.retain(|it| !it.is_empty());
        if order != Order::NEWEST {
            parts.push(format!("sort={}", order.by.name()));
            parts.push(format!("order={}", order_name(order)));
        }
        if page > 1 {
            parts.push(format!("page={page}"));
        }
        match &*parts.join("&") {
            "" => asked.link("/search"),
            query => asked.link(&format!("/search?{query}")),
        }
    }
}

fn order_name(order: Order) -> &'static str {
    if order.is_ascending {
        "ascending"
    } else {
        "descending"
    }
}

pub(super) fn page(page: &Mounted, asked: &Asked) -> Result<Response, Refused> {
    let state = State::of(asked)?;
    let now = SystemTime::now();
    let most = ON_PAGE * MOST_PAGES;
    let mut results = page.find(&state.query, now, state.order, most, true);
    let pages = results.found.len().div_ceil(ON_PAGE);
    let skipped = (state.page - 1) * ON_PAGE;
    results.found = { results.found.into_iter() }
        .skip(skipped)
        .take(ON_PAGE)
        .collect();
    if asked.is_json {
        return Ok(in_json(&state, results, pages, now));
    }
    let content = html! {
        h1 { "Search" }
        (form(page, asked, &state))
        (summary(&results))
        @if !results.found.is_empty() { (table(page, asked, &state, &results)) }
        (pager(asked, &state, pages, results.matched))
    };
    Ok(layout::page(asked, "Search", None, &content).into_response())
}

fn form(page: &Mounted, asked: &Asked, state: &State) -> Markup {
    let given: Vec<_> = state.query.parameters().collect();
    let value = |name: &str| {
        { given.iter() }
            .find(|(it, _)| *it == name)
            .map(|it| &*it.1)
    };
    let field = |name: &str, title: &str, example: &str| {
        html! {
            label { (title) " "
                input name=(name) value=[value(name).map(field_value)] placeholder=(example) autocomplete="off" list=[(name == "route").then_some("routes")]; }
        }
    };
    html! {
        form.search action=(asked.link("/search")) role="search" {
            (field("id", "Request id", ""))
            (field("trace_id", "Trace id", ""))
            (field("text", "Text in ids, labels, messages", ""))
            (field("route", "Route", ""))
            datalist #routes { @for route in page.source.route_names().into_iter().take(MOST_ROUTES) { option value=(field_value(&route)) {} } }
            label { "Outcome "
                select name="outcome" {
                    option value="" { "any" }
                    @for outcome in Outcomes::ALL {
                        @let name = outcome.name();
                        option value=(name) selected[value("outcome") == Some(name)] {
                            @if outcome == Outcomes::Failure { "failed or panicked" } @else { (name) }
                        }
                    }
                }
            }
            (field("slower", "Slower than", "250ms"))
            (field("heavier", "Heavier than", "1MiB"))
            (field("since", "Since", "2h, or 2026-11-29T17:05:00Z"))
            (field("until", "Until", "10m, or 2026-11-29T17:15:00Z"))
            @if let Some(failure) = value("failure") {
                p { "Failure: " b { (shown(failure)) } input type="hidden" name="failure" value=(field_value(failure)); }
            }
            @if state.order != Order::NEWEST {
                input type="hidden" name="sort" value=(state.order.by.name());
                input type="hidden" name="order" value=(order_name(state.order));
            }
            p.buttons { button { "Search" } @if !state.query.is_empty() { " " a href=(asked.link("/search")) { "Clear" } } }
        }
    }
}

fn summary(results: &Results) -> Markup {
    html! {
        p #found role="status" {
            b { (plural(results.matched, "kept request")) }
            @match results.in_files {
                InFiles::None => " in memory.",
                InFiles::Busy => { " in memory. " span.warm { "Other searches read the files: these were not searched. Try again in a moment." } }
                InFiles::Searched(progress) => {
                    " in memory and files; " span.warm[!progress.is_all()] { (find::searched(progress)) } "."
                }
            }
        }
    }
}

/// The columns, with those by which they sort.
const COLUMNS: [(&str, Option<Column>); 7] = [
    ("Request", Some(Column::Route)),
    ("When", Some(Column::Started)),
    ("Time", Some(Column::Wall)),
    ("Allocates", Some(Column::Allocates)),
    ("Bytes", Some(Column::Bytes)),
    ("Outcome", Some(Column::Outcome)),
    ("Kept because", None),
];

fn table(page: &Mounted, asked: &Asked, state: &State, results: &Results) -> Markup {
    let sort = |title: &str, by: Column| {
        let is_this = by == state.order.by;
        let is_ascending = if is_this {
            !state.order.is_ascending
        } else {
            by.is_text()
        };
        let link = state.link(asked, Order { by, is_ascending }, 1);
        html! {
            a href=(link) {
                (title) @if is_this { span aria-hidden="true" { @if state.order.is_ascending { " ↑" } @else { " ↓" } } }
            }
        }
    };
    let sorted = |by: Option<Column>| (by == Some(state.order.by)).then(|| order_name(state.order));
    html! {
        nav.sort aria-label="Order" { "Sort by " @for (title, by) in COLUMNS { @if let Some(by) = by { (sort(title, by)) } } }
        div.wide tabindex="0" role="region" aria-label="Found requests" {
            table.list.found {
                thead { tr {
                    @for (title, by) in COLUMNS {
                        @let is_text = matches!(title, "Request" | "Outcome" | "Kept because");
                        th.text[is_text] aria-sort=[sorted(by)] { @if let Some(by) = by { (sort(title, by)) } @else { (title) } }
                    }
                } }
                tbody { @for found in &results.found { (requests::row(page, asked, &Row::of_found(page, found))) } }
            }
        }
    }
}

fn pager(asked: &Asked, state: &State, pages: usize, matched: u64) -> Markup {
    let link = |page: usize| state.link(asked, state.order, page);
    let most = (ON_PAGE * MOST_PAGES) as u64;
    html! {
        @if pages > 1 || state.page > 1 {
            nav aria-label="Pages of results" {
                @if state.page > 1 { a href=(link(state.page - 1)) rel="prev" { "Previous" } }
                span { "Page " (state.page) " of " (pages) }
                @if state.page < pages { a href=(link(state.page + 1)) rel="next" { "Next" } }
            }
        }
        @if matched > most { p.faint { "The first " (count(most)) " are listed: narrow the search to see others." } }
    }
}

#[derive(Serialize)]
struct SearchInJson {
    query: serde_json::Map<String, serde_json::Value>,
    searched_unix_ns: i64,
    sort: &'static str,
    order: &'static str,
    page_number: usize,
    pages: usize,
    matched: u64,
    files: FilesInJson,
    requests: Vec<KeptInJson>,
}

#[derive(Default, Serialize)]
struct FilesInJson {
    searched: usize,
    of: usize,
    searched_bytes: u64,
    of_bytes: u64,
    unreadable_lines: u64,
    busy: bool,
}

impl FilesInJson {
    fn of(in_files: InFiles) -> Self {
        match in_files {
            InFiles::None => Self::default(),
            InFiles::Busy => Self {
                busy: true,
                ..Self::default()
            },
            InFiles::Searched(progress) => Self {
                searched: progress.files,
                of: progress.of_files,
                searched_bytes: progress.bytes,
                of_bytes: progress.of_bytes,
                unreadable_lines: progress.unreadable,
                busy: false,
            },
        }
    }
}

fn in_json(state: &State, results: Results, pages: usize, now: SystemTime) -> Response {
    let query = state.query.parameters();
    let found = results.found.into_iter();
    let content = SearchInJson {
        query: query
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect(),
        searched_unix_ns: unix_ns(now),
        sort: state.order.by.name(),
        order: order_name(state.order),
        page_number: state.page,
        pages,
        matched: results.matched,
        files: FilesInJson::of(results.in_files),
        requests: found
            .map(|it| KeptInJson {
                head: it.head,
                in_memory: it.is_in_memory,
            })
            .collect(),
    };
    json::page("search", content)
}
