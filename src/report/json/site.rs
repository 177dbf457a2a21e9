//! Allocation sites as JSON.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::de;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::report::SiteReport;
use crate::sites::{Frame, Unresolved};

use super::parts::{is_false, is_zero};

/// The allocation sites of a call. Their frames are together in front of them, since most are of many sites.
pub(super) enum SitesInJson<'a> {
    Written(&'a [SiteReport]),
    Read(Vec<SiteReport>),
}

#[derive(Serialize, Deserialize)]
#[serde(expecting = "allocation sites")]
struct Parts<'a> {
    #[serde(borrow)]
    frames: Vec<FrameInJson<'a>>,
    places: Vec<PlaceInJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(expecting = "an allocation site")]
struct PlaceInJson {
    frames: Vec<usize>,
    /// The frames don't go as far as the call.
    #[serde(default, skip_serializing_if = "is_false")]
    cut: bool,
    allocations: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    reallocations: u64,
    bytes_allocated: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    error_bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(expecting = "a frame")]
struct FrameInJson<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    function: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    file: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    module: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    build_id: Option<Cow<'a, str>>,
    offset: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unresolved: Option<Unresolved>,
}

impl SitesInJson<'_> {
    pub(super) fn into_read(self) -> Vec<SiteReport> {
        match self {
            Self::Written(_) => Vec::new(),
            Self::Read(sites) => sites,
        }
    }
}

impl Serialize for SitesInJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Written(sites) => Parts::of(sites),
            Self::Read(sites) => Parts::of(sites),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SitesInJson<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sites = Parts::deserialize(deserializer)?.into_sites();
        sites.map(Self::Read).map_err(de::Error::custom)
    }
}

impl<'a> Parts<'a> {
    fn of(sites: &'a [SiteReport]) -> Self {
        // Most sites share their frames, so their texts are hashed once.
        let mut shared: HashMap<*const Frame, usize> = HashMap::new();
        let mut numbers: HashMap<&Frame, usize> = HashMap::new();
        let mut frames = Vec::new();
        let mut place = |site: &'a SiteReport| {
            let of_site = site.frames.iter().map(|frame| {
                *shared.entry(Arc::as_ptr(frame)).or_insert_with(|| {
                    *numbers.entry(frame).or_insert_with(|| {
                        frames.push(FrameInJson::of(frame));
                        frames.len() - 1
                    })
                })
            });
            PlaceInJson {
                frames: of_site.collect(),
                cut: !site.is_whole,
                allocations: site.allocations,
                reallocations: site.reallocations,
                bytes_allocated: site.bytes_allocated,
                error_bytes: site.error_bytes,
            }
        };
        let places = sites.iter().map(&mut place).collect();
        Self { frames, places }
    }

    fn into_sites(self) -> Result<Vec<SiteReport>, String> {
        let frames = self.frames.into_iter();
        let frames: Vec<_> = frames.map(|frame| Arc::new(frame.into_frame())).collect();
        let site = |(number, place): (usize, PlaceInJson)| {
            let of_site = place.frames.into_iter().map(|index| {
                frames.get(index).map(Arc::clone).ok_or_else(|| {
                    let all = frames.len();
                    format!("sites.places[{number}].frames has {index}: expected the index of one of {all} frames")
                })
            });
            Ok(SiteReport {
                frames: of_site.collect::<Result<_, String>>()?,
                is_whole: !place.cut,
                allocations: place.allocations,
                reallocations: place.reallocations,
                bytes_allocated: place.bytes_allocated,
                error_bytes: place.error_bytes,
            })
        };
        self.places.into_iter().enumerate().map(site).collect()
    }
}

impl<'a> FrameInJson<'a> {
    fn of(frame: &'a Frame) -> Self {
        Self {
            function: frame.function.as_deref().map(Cow::Borrowed),
            file: frame.file.as_deref().map(Cow::Borrowed),
            line: frame.line,
            module: frame.module.as_deref().map(Cow::Borrowed),
            build_id: frame.build_id.as_deref().map(Cow::Borrowed),
            offset: frame.offset,
            unresolved: frame.unresolved,
        }
    }

    fn into_frame(self) -> Frame {
        Frame {
            function: self.function.map(Cow::into_owned),
            file: self.file.map(Cow::into_owned),
            line: self.line,
            module: self.module.map(Into::into),
            build_id: self.build_id.map(Into::into),
            offset: self.offset,
            unresolved: self.unresolved,
        }
    }
}
