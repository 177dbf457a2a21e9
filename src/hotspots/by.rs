//! `By`: the figure by which hotspots are sorted and drawn.

use std::fmt;
use std::str::FromStr;

use alloc_counter::Counts;

use crate::report::duration::nanoseconds;

use super::Totals;

/// A figure by which hotspots are sorted, drawn and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum By {
    /// Number of calls.
    Calls,
    /// Number of calls that failed or panicked.
    Failures,
    /// Number of calls that were cancelled.
    Cancelled,
    /// Nanoseconds from start to stop.
    Time,
    /// Nanoseconds in which no call inside was open.
    SelfTime,
    /// Nanoseconds in which the calls were polled.
    Busy,
    /// Nanoseconds in which the calls were polled, without the calls inside.
    SelfBusy,
    /// Requests that obtained memory.
    Allocations,
    /// Requests that obtained memory, without the calls inside.
    SelfAllocations,
    /// Bytes allocated.
    Bytes,
    /// Bytes allocated, without the calls inside.
    SelfBytes,
    /// Bytes that are kept: allocated minus freed, calls inside included; 0 if more were freed. See
    /// [`Totals::net_bytes`].
    NetBytes,
    /// Highest peak of live bytes.
    Peak,
}

/// Unit of a figure.
#[cfg(any(feature = "flamegraph", feature = "tables", feature = "web"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Count,
    Nanoseconds,
    Bytes,
}

impl By {
    /// All figures, in the order of their documentation.
    pub const ALL: [Self; 13] = [
        Self::Calls,
        Self::Failures,
        Self::Cancelled,
        Self::Time,
        Self::SelfTime,
        Self::Busy,
        Self::SelfBusy,
        Self::Allocations,
        Self::SelfAllocations,
        Self::Bytes,
        Self::SelfBytes,
        Self::NetBytes,
        Self::Peak,
    ];

    /// Returns the figure's name, from which it is also [parsed](FromStr).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Failures => "failures",
            Self::Cancelled => "cancelled",
            Self::Time => "time",
            Self::SelfTime => "self-time",
            Self::Busy => "busy",
            Self::SelfBusy => "self-busy",
            Self::Allocations => "allocations",
            Self::SelfAllocations => "self-allocations",
            Self::Bytes => "bytes",
            Self::SelfBytes => "self-bytes",
            Self::NetBytes => "net-bytes",
            Self::Peak => "peak",
        }
    }

    /// Returns the figure of these totals; 0 if it is not known.
    pub fn of(self, totals: &Totals) -> u64 {
        let allocates = |counts: Option<Counts>| counts.map_or(0, |counts| counts.allocates());
        let bytes = |counts: Option<Counts>| counts.map_or(0, |counts| counts.bytes_allocated);
        match self {
            Self::Calls => totals.calls,
            Self::Failures => totals.failures,
            Self::Cancelled => totals.cancelled,
            Self::Time => nanoseconds(totals.wall),
            Self::SelfTime => nanoseconds(totals.self_wall),
            Self::Busy => nanoseconds(totals.busy),
            Self::SelfBusy => nanoseconds(totals.self_busy),
            Self::Allocations => allocates(totals.total),
            Self::SelfAllocations => allocates(totals.self_counts),
            Self::Bytes => bytes(totals.total),
            Self::SelfBytes => bytes(totals.self_counts),
            Self::NetBytes => { totals.net_bytes }
                .and_then(|net| u64::try_from(net).ok())
                .unwrap_or(0),
            Self::Peak => totals.peak_bytes.unwrap_or(0),
        }
    }

    /// Returns whether the figure needs an installed [`Counting`](crate::Counting) allocator: true for
    /// allocations, bytes and peaks.
    pub const fn is_counted(self) -> bool {
        matches!(
            self,
            Self::Allocations
                | Self::SelfAllocations
                | Self::Bytes
                | Self::SelfBytes
                | Self::NetBytes
                | Self::Peak
        )
    }

    /// Returns whether lines that allocate have this figure.
    #[cfg(any(feature = "tables", feature = "web"))]
    pub(crate) const fn is_of_sites(self) -> bool {
        self.is_counted() && !matches!(self, Self::NetBytes | Self::Peak)
    }

    #[cfg(any(feature = "flamegraph", feature = "tables", feature = "web"))]
    pub(crate) const fn unit(self) -> Unit {
        match self {
            Self::Time | Self::SelfTime | Self::Busy | Self::SelfBusy => Unit::Nanoseconds,
            Self::Bytes | Self::SelfBytes | Self::NetBytes | Self::Peak => Unit::Bytes,
            Self::Calls
            | Self::Failures
            | Self::Cancelled
            | Self::Allocations
            | Self::SelfAllocations => Unit::Count,
        }
    }

    /// Returns the figure without the calls inside, which adds up to the whole; `None` for
    /// [`NetBytes`](Self::NetBytes) and [`Peak`](Self::Peak), which do not add up.
    pub const fn own(self) -> Option<Self> {
        match self {
            Self::Time | Self::SelfTime => Some(Self::SelfTime),
            Self::Busy | Self::SelfBusy => Some(Self::SelfBusy),
            Self::Allocations | Self::SelfAllocations => Some(Self::SelfAllocations),
            Self::Bytes | Self::SelfBytes => Some(Self::SelfBytes),
            Self::Calls => Some(Self::Calls),
            Self::Failures => Some(Self::Failures),
            Self::Cancelled => Some(Self::Cancelled),
            Self::NetBytes | Self::Peak => None,
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// ```
/// use tracer::hotspots::By;
///
/// assert_eq!("self-bytes".parse(), Ok(By::SelfBytes));
/// let error = "size".parse::<By>().unwrap_err();
/// assert!(error.to_string().starts_with("`size` is no figure: expected calls, failures, cancelled, time,"));
/// ```
impl FromStr for By {
    type Err = UnknownFigure;

    fn from_str(text: &str) -> Result<Self, UnknownFigure> {
        let named = |by: &Self| by.name() == text;
        Self::ALL.into_iter().find(named).ok_or_else(|| {
            // Cut to what is worth showing.
            UnknownFigure(text.escape_debug().take(40).collect())
        })
    }
}

/// Error: a text is not the name of a [figure](By).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFigure(String);

impl fmt::Display for UnknownFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no figure: expected ", self.0)?;
        for by in By::ALL {
            f.write_str(match by {
                By::Calls => "",
                By::Peak => " or ",
                _ => ", ",
            })?;
            f.write_str(by.name())?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownFigure {}
