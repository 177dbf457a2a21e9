//! The state of a record, in one word: its kind, the form of its figures, and its call's outcome.

use crate::primitives::seqlock::SeqLock;

/// The kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    Call,
    /// A named moment of the call that is its parent; its text is its name.
    Checkpoint,
    /// A piece of the text of the next record of another kind.
    Text,
    /// The failure message of the call that is its parent.
    Message,
    /// A label that the call that is its parent got after its start.
    Label,
    /// A move of a call into another one. Holds the call's address, its parent until then, and its usage
    /// there. Its present parent is in the call's own record.
    Move,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OutcomeKind {
    Running,
    Ok,
    Failed,
    Panicked,
    Cancelled,
}

impl OutcomeKind {
    /// Returns the outcome of a call that was marked as failed, unless something worse has happened to it.
    pub(crate) fn failed(self) -> Self {
        match self {
            Self::Ok | Self::Cancelled => Self::Failed,
            outcome => outcome,
        }
    }

    /// Whether the call failed or panicked. A cancelled one did not: so ends a branch of `select!`.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Panicked)
    }
}

/// The word of a [`RecordState`], over the words of a call's record that change.
pub(crate) type StateLock = SeqLock<{ RecordState::VERSION }>;

/// A record's kind, form and outcome in one word, with the version of its [lock](StateLock) in the upper
/// half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordState(u32);

impl RecordState {
    const KIND: u32 = 0b111;
    const OUTCOME_SHIFT: u32 = 3;
    const OUTCOME: u32 = 0b111 << Self::OUTCOME_SHIFT;
    /// The figures are the call's usage. Without it they are a reading at its start.
    const HOLDS_USAGE: u32 = 1 << 6;
    /// The reading is that of the thread that runs the strand, from the call's start until the strand
    /// is left. Without it, it is the strand's.
    const OF_THREAD: u32 = 1 << 12;
    const FAILED: u32 = 1 << 7;
    /// The call is beyond its trace's limit. Such a record is never used for another kind of call.
    const FOLDED: u32 = 1 << 13;
    /// The call was opened while the thread was already panicking: that panic is not its outcome.
    const UNWINDING: u32 = 1 << 8;
    /// The call was opened while a future was being dropped: that does not cancel it.
    const CANCELLING: u32 = 1 << 9;
    const PARTIAL: u32 = 1 << 10;
    /// The text is in the records before. For a piece of text: it is not the first.
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
    pub(crate) const fn new(kind: RecordKind) -> Self {
        Self(kind as u32)
    }

    /// Returns whether it is a call that is not folded.
    #[cfg(feature = "recorder")]
    #[inline]
    pub(crate) const fn is_recorded_call(self) -> bool {
        self.0 & (Self::KIND | Self::FOLDED) == RecordKind::Call as u32
    }

    /// Returns whether it is a call that is not folded and has stopped well. Its words change no more: an outcome is
    /// written with the moment of the stop and the figures, by the strand's own thread, and only once.
    #[cfg(any(feature = "recorder", all(loom, test)))]
    #[inline]
    pub(crate) const fn has_stopped_well(self) -> bool {
        // The lowest bit of the version, which is set while the words are being written.
        const ALL: u32 = RecordState::VERSION
            | RecordState::KIND
            | RecordState::FOLDED
            | RecordState::HOLDS_USAGE
            | RecordState::OUTCOME;
        const STOPPED: RecordState = RecordState::new(RecordKind::Call)
            .holding_usage(true)
            .with_outcome(OutcomeKind::Ok);
        self.0 & ALL == STOPPED.0
    }

    #[inline]
    pub(crate) fn kind(self) -> RecordKind {
        match self.0 & Self::KIND {
            0 => RecordKind::Call,
            1 => RecordKind::Checkpoint,
            2 => RecordKind::Text,
            3 => RecordKind::Message,
            4 => RecordKind::Label,
            _ => RecordKind::Move,
        }
    }

    #[inline]
    pub(crate) fn outcome(self) -> OutcomeKind {
        const OUTCOMES: [OutcomeKind; 8] = {
            let mut outcomes = [OutcomeKind::Cancelled; 8];
            outcomes[0] = OutcomeKind::Running;
            outcomes[1] = OutcomeKind::Ok;
            outcomes[2] = OutcomeKind::Failed;
            outcomes[3] = OutcomeKind::Panicked;
            outcomes
        };
        OUTCOMES[((self.0 & Self::OUTCOME) >> Self::OUTCOME_SHIFT) as usize]
    }

    /// Returns how a call ends by itself: failed if it was marked so, else well.
    #[inline]
    pub(crate) fn own_outcome(self) -> OutcomeKind {
        if self.has_failed() {
            OutcomeKind::Failed
        } else {
            OutcomeKind::Ok
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

    /// Whether the reading is the thread's, and the call is not folded.
    #[inline]
    pub(crate) const fn is_plain(self) -> bool {
        self.0 & (Self::OF_THREAD | Self::FOLDED) == Self::OF_THREAD
    }

    #[inline]
    pub(crate) const fn holds_usage(self) -> bool {
        self.has(Self::HOLDS_USAGE)
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
    pub(crate) const fn holding_usage(self, yes: bool) -> Self {
        self.with(Self::HOLDS_USAGE, yes)
    }

    #[inline]
    pub(crate) const fn of_thread(self, yes: bool) -> Self {
        self.with(Self::OF_THREAD, yes)
    }

    /// Returns this state at the version of another one. If a fork came in the middle of a change, it is
    /// the version before that.
    pub(crate) const fn at_version_of(self, other: Self) -> Self {
        const TWO: u32 = 2 * RecordState::VERSION;
        Self((self.0 % RecordState::VERSION) | (other.0 / TWO * TWO))
    }

    pub(crate) const fn is_being_written(self) -> bool {
        StateLock::is_changing(self.0)
    }

    #[inline]
    pub(crate) const fn with_outcome(self, outcome: OutcomeKind) -> Self {
        Self(self.0 & !Self::OUTCOME | (outcome as u32) << Self::OUTCOME_SHIFT)
    }
}
