//! Walks stacks on Linux, on x86-64 and aarch64.

mod forks;
mod last;
pub(super) mod modules;
mod registers;
mod stack;
mod tables;
pub(super) mod walk;

pub(super) use registers::Start;
pub(super) use stack::{Base, Stack};
