//! What the traced thread does: opens and stops calls, enters and leaves traces. Imports `store` and
//! `primitives`.

pub(crate) mod cursor;

pub(crate) mod context;
pub(crate) mod execution;
pub(crate) mod folded;
pub(crate) mod nesting;

pub(crate) mod annotate;
pub(crate) mod guard;

pub(crate) mod call;
pub(crate) mod macros;

pub(crate) mod suspend;

pub(crate) mod carry;
pub(crate) mod current;
pub(crate) mod future;
