//! An allocation site as JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::report::SiteReport;
use crate::sites::{Frame, Unresolved};

use super::list::Part;
use super::parts::{is_false, is_zero};

#[derive(Serialize, Deserialize)]
#[serde(expecting = "an allocation site")]
pub(super) struct SiteInJson<'a> {
    #[serde(borrow)]
    frames: Vec<FrameInJson<'a>>,
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

impl Part for SiteReport {
    type InJson<'a> = SiteInJson<'a>;

    fn to_json(&self) -> SiteInJson<'_> {
        SiteInJson {
            frames: self.frames.iter().map(FrameInJson::of).collect(),
            cut: !self.is_whole,
            allocations: self.allocations,
            reallocations: self.reallocations,
            bytes_allocated: self.bytes_allocated,
            error_bytes: self.error_bytes,
        }
    }

    fn from_json(in_json: SiteInJson<'_>) -> Self {
        let frames = in_json.frames.into_iter();
        Self {
            frames: frames.map(FrameInJson::into_frame).collect(),
            is_whole: !in_json.cut,
            allocations: in_json.allocations,
            reallocations: in_json.reallocations,
            bytes_allocated: in_json.bytes_allocated,
            error_bytes: in_json.error_bytes,
        }
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
