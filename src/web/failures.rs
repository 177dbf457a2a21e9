//! Failures that are the same, in groups.

use std::collections::HashMap;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Serialize;

use crate::recorder::{RouteStatistics, Statistics};
use crate::report::Report;
use crate::report::units::{bytes, count, percent, plural, time};
use crate::search::groups::{Failures, Group};

use super::json::GroupInJson;
use super::layout::{cell, shown};
use super::{Asked, Mounted, json, layout};

/// Number of groups that are shown.
const MOST: usize = 200;

/// Groups, with what is known of all requests.
pub(super) struct Groups<'a> {
    pub(super) failures: Failures,
    /// How many requests of each route have ended; `None` if only kept requests are known.
    ended: Option<HashMap<&'a str, u64>>,
    /// Whether failures are missing that are no longer in memory, or were never there.
    is_at_least: bool,
}

impl<'a> Groups<'a> {
    /// Groups the failures among the requests in memory, of one route or of all. `known`: what a recorder knows of all
    /// requests, those that were not kept included.
    pub(super) fn of(
        kept: &[Arc<Report>],
        route: Option<&str>,
        known: Option<(&Statistics, &'a [RouteStatistics])>,
    ) -> Self {
        let ended =
            |routes: &'a [RouteStatistics]| routes.iter().map(|it| (&*it.name, it.ended)).collect();
        Self {
            failures: Failures::of(kept, route),
            ended: known.map(|(_, routes)| ended(routes)),
            is_at_least: known.is_some_and(|(all, _)| all.evicted + all.dropped > 0),
        }
    }

    fn ended(&self, group: &Group) -> Option<u64> {
        let ended = self.ended.as_ref()?;
        Some(ended.get(&*group.route).copied().unwrap_or(0))
    }

    pub(super) fn in_json(&self, most: usize) -> Vec<GroupInJson<'_>> {
        let groups = self.failures.groups.iter().take(most);
        groups
            .map(|it| GroupInJson::of(it, self.ended(it)))
            .collect()
    }

    /// Makes the table of the first groups.
    pub(super) fn table(
        &self,
        page: &Mounted,
        asked: &Asked,
        most: usize,
        with_route: bool,
    ) -> Markup {
        let groups = &self.failures.groups;
        html! {
            @if groups.is_empty() { p.faint { "No failure is kept." } }
            @else {
                p.faint { "Counted among the kept requests in memory. Numbers, ids and quoted texts of messages are left out." }
                div.wide tabindex="0" role="region" aria-label="Failures" {
                    table.failures {
                        thead { tr {
                            th.text { "Failure" } th { "Kept" } @if self.ended.is_some() { th { "Share" } } th.text { "First" } th.text { "Last" } th.text { "Look at" }
                        } }
                        tbody { @for group in groups.iter().take(most) { (self.row(page, asked, group, with_route)) } }
                    }
                }
                @if groups.len() > most {
                    p { a href=(asked.link("/failures")) { "And " (count((groups.len() - most) as u64)) " more" } }
                }
                @if self.failures.in_no_group > 0 {
                    p.faint { (plural(self.failures.in_no_group, "failure")) " of further kinds are not listed." }
                }
            }
        }
    }

    fn row(&self, page: &Mounted, asked: &Asked, group: &Group, with_route: bool) -> Markup {
        let all = asked.link(&format!("/search?{}", group.query()));
        let to = |it: &Report| asked.link(&page.path_of(it.trace, it.started, true));
        let ended = self.ended(group);
        let heaviest = group.heaviest.bytes_allocated();
        html! {
            tr {
                th.text {
                    a.bad href=(all) { @if group.message.is_empty() { "(no message)" } @else { (shown(&group.message)) } }
                    @if with_route { span.usual { (shown(&group.route)) } }
                }
                (cell("Kept", &count(group.failures)))
                @if let Some(ended) = ended {
                    td data-of="Share" {
                        @if self.is_at_least { "at least " } (percent(group.failures, ended))
                        span.usual { "of " (count(ended)) }
                    }
                }
                td.text data-of="First" { (asked.when().time_ago(group.first)) }
                td.text data-of="Last" { (asked.when().time_ago(group.newest.started)) }
                td.text data-of="Look at" {
                    span { a href=(to(&group.newest)) { "newest" } } " "
                    span { a href=(to(&group.slowest)) { "slowest" } " " span.faint { (time(group.slowest.wall())) } } " "
                    span { a href=(to(&group.heaviest)) { "heaviest" } @if heaviest > 0 { " " span.faint { (bytes(heaviest)) } } }
                }
            }
        }
    }
}

#[derive(Serialize)]
struct FailuresInJson<'a> {
    failures: u64,
    ungrouped: u64,
    at_least: bool,
    groups: Vec<GroupInJson<'a>>,
}

pub(super) fn page(page: &Mounted, asked: &Asked) -> Response {
    let known = page.source.recorder();
    let known = known.map(|it| (it.statistics(), it.routes()));
    let known = known.as_ref().map(|(all, routes)| (all, &**routes));
    let groups = Groups::of(&page.source.kept(), None, known);
    if asked.is_json {
        let content = FailuresInJson {
            failures: groups.failures.count,
            ungrouped: groups.failures.in_no_group,
            at_least: groups.is_at_least,
            groups: groups.in_json(MOST),
        };
        return json::page("failures", content);
    }
    let content = html! {
        h1 { "Failures" }
        (groups.table(page, asked, MOST, true))
    };
    layout::page(asked, "Failures", None, &content).into_response()
}
