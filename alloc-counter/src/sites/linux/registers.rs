//! Where a walk begins.

use framehop::UnwindRegsNative;

/// A place in a function, with its registers there.
pub(in crate::sites) struct Start {
    pub(super) address: u64,
    pub(super) registers: UnwindRegsNative,
}

impl Start {
    /// Returns a place in the function that calls this.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the registers are the caller's")]
    pub(in crate::sites) fn here() -> Self {
        let (address, registers) = registers();
        Self { address, registers }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) fn frame_pointer(registers: &UnwindRegsNative) -> u64 {
    registers.bp()
}

#[cfg(target_arch = "aarch64")]
pub(super) fn frame_pointer(registers: &UnwindRegsNative) -> u64 {
    registers.fp()
}

/// Returns an address in the function that calls this, and its registers there.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(clippy::inline_always, reason = "the registers are the caller's")]
fn registers() -> (u64, UnwindRegsNative) {
    let (address, stack, frame): (u64, u64, u64);
    // SAFETY: it reads registers, and writes only those that it is given for its results.
    unsafe {
        std::arch::asm!(
            "lea {}, [rip]", "mov {}, rsp", "mov {}, rbp",
            out(reg) address, out(reg) stack, out(reg) frame,
            options(nomem, nostack, preserves_flags),
        );
    }
    (address, UnwindRegsNative::new(address, stack, frame))
}

/// Returns an address in the function that calls this, and its registers there.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
#[expect(clippy::inline_always, reason = "the registers are the caller's")]
fn registers() -> (u64, UnwindRegsNative) {
    let (address, stack, frame, link): (u64, u64, u64, u64);
    // SAFETY: it reads registers, and writes only those that it is given for its results.
    unsafe {
        std::arch::asm!(
            // First, as the register may be one of those that are written.
            "mov {}, x30", "adr {}, .", "mov {}, sp", "mov {}, x29",
            out(reg) link, out(reg) address, out(reg) stack, out(reg) frame,
            options(nomem, nostack, preserves_flags),
        );
    }
    (address, UnwindRegsNative::new(link, stack, frame))
}
