//! What a record is, in which form its figures are, and how its call has ended: one word.

use crate::primitives::seqlock::SeqLock;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    /// A named moment of the call that is its parent; its text is its name.
    Checkpoint,
    /// A piece of the text of the next record that is none itself.
    Text,
    /// Why the call that is its parent failed.
    Message,
    /// A call outlived the one that it was in, or goes on in another. Holds the call's address, in
    /// which call it was (the parent), and what it had done there. In which it is now, the call's
    /// own record says.
    Adoption,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Open,
    Ok,
    Failed,
    Panicked,
    Cancelled,
}

impl End {
    /// The end of a call that was told to have failed, unless something worse has happened to it.
    pub(crate) fn failed(self) -> Self {
        match self {
            Self::Ok | Self::Cancelled => Self::Failed,
            end => end,
        }
    }
}

#[cfg(feature = "recorder")]
impl End {
    /// Whether the call failed or panicked. A cancelled one did not: so ends a branch of `select!`.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Panicked)
    }
}

/// The word of a [`State`], over the words of a call's record that change.
pub(crate) type StateLock = SeqLock<{ State::VERSION }>;

/// A record's kind, form and outcome in one word, with the version of its [lock](StateLock) in the upper
/// half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct State(u32);

impl State {
    const KIND: u32 = 0b111;
    const END_SHIFT: u32 = 3;
    const END: u32 = 0b111 << Self::END_SHIFT;
    /// The figures are what was used. Without it they are readings from which to subtract.
    const AT_REST: u32 = 1 << 6;
    /// The readings are those of the thread that runs the strand, as they are from the call's start
    /// until the strand is left; without it they are the strand's.
    const OF_THREAD: u32 = 1 << 12;
    const FAILED: u32 = 1 << 7;
    /// The record is of a call beyond its trace's limit, and is for ever of such calls.
    const FOLDED: u32 = 1 << 13;
    /// Opened while the thread was already panicking, which is then not this call's end.
    const UNWINDING: u32 = 1 << 8;
    /// Opened while a future was being dropped, which is then not this call's end.
    const CANCELLING: u32 = 1 << 9;
    const PARTIAL: u32 = 1 << 10;
    /// The text stands in the records before, or, of a piece of text, begins there.
    const LONG_TEXT: u32 = 1 << 11;
    /// The step of the version in the upper half.
    const VERSION: u32 = 1 << 16;

    #[inline]
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) const fn to_bits(self) -> u32 {
        self.0
    }

    #[inline]
    pub(crate) const fn new(kind: Kind) -> Self {
        Self(kind as u32)
    }

    pub(crate) fn kind(self) -> Kind {
        match self.0 & Self::KIND {
            0 => Kind::Call,
            1 => Kind::Checkpoint,
            2 => Kind::Text,
            3 => Kind::Message,
            _ => Kind::Adoption,
        }
    }

    pub(crate) fn end(self) -> End {
        match (self.0 & Self::END) >> Self::END_SHIFT {
            0 => End::Open,
            1 => End::Ok,
            2 => End::Failed,
            3 => End::Panicked,
            _ => End::Cancelled,
        }
    }

    #[inline]
    const fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    #[inline]
    const fn with(self, flag: u32, on: bool) -> Self {
        Self(if on { self.0 | flag } else { self.0 & !flag })
    }

    pub(crate) const fn is_folded(self) -> bool {
        self.has(Self::FOLDED)
    }

    pub(crate) const fn folded(self) -> Self {
        self.with(Self::FOLDED, true)
    }

    /// Whether the readings are the thread's, and the call is not folded.
    #[inline]
    pub(crate) const fn is_plain(self) -> bool {
        self.0 & (Self::OF_THREAD | Self::FOLDED) == Self::OF_THREAD
    }

    #[inline]
    pub(crate) const fn is_at_rest(self) -> bool {
        self.has(Self::AT_REST)
    }

    #[inline]
    pub(crate) const fn is_of_thread(self) -> bool {
        self.has(Self::OF_THREAD)
    }

    #[inline]
    pub(crate) const fn has_failed(self) -> bool {
        self.has(Self::FAILED)
    }

    #[inline]
    pub(crate) const fn was_unwinding(self) -> bool {
        self.has(Self::UNWINDING)
    }

    pub(crate) const fn is_partial(self) -> bool {
        self.has(Self::PARTIAL)
    }

    pub(crate) const fn has_long_text(self) -> bool {
        self.has(Self::LONG_TEXT)
    }

    #[inline]
    pub(crate) const fn was_cancelling(self) -> bool {
        self.has(Self::CANCELLING)
    }

    #[inline]
    pub(crate) const fn unwinding(self, yes: bool) -> Self {
        self.with(Self::UNWINDING, yes)
    }

    #[inline]
    pub(crate) const fn cancelling(self, yes: bool) -> Self {
        self.with(Self::CANCELLING, yes)
    }

    #[inline]
    pub(crate) const fn long_text(self, yes: bool) -> Self {
        self.with(Self::LONG_TEXT, yes)
    }

    #[inline]
    pub(crate) const fn partial(self, yes: bool) -> Self {
        self.with(Self::PARTIAL, yes)
    }

    #[inline]
    pub(crate) const fn failed(self) -> Self {
        self.with(Self::FAILED, true)
    }

    #[inline]
    pub(crate) const fn at_rest(self, yes: bool) -> Self {
        self.with(Self::AT_REST, yes)
    }

    #[inline]
    pub(crate) const fn of_thread(self, yes: bool) -> Self {
        self.with(Self::OF_THREAD, yes)
    }

    /// Returns this kind, form and outcome at the version of another state; before the change in
    /// the middle of which a fork may have come.
    pub(crate) const fn at_version_of(self, other: Self) -> Self {
        const TWO: u32 = 2 * State::VERSION;
        Self(self.0 % State::VERSION | other.0 / TWO * TWO)
    }

    pub(crate) const fn is_being_written(self) -> bool {
        StateLock::is_changing(self.0)
    }

    #[inline]
    pub(crate) const fn ended(self, end: End) -> Self {
        Self(self.0 & !Self::END | (end as u32) << Self::END_SHIFT)
    }
}
