//! Walks stacks on Linux, on x86-64 and aarch64.

mod forks;
pub(super) mod modules;
mod registers;
mod rules;
mod stack;
mod tables;
pub(super) mod walk;

pub(super) use registers::Start;
pub(super) use stack::{Base, Extent, Stack};
