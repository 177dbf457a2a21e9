//! The processor's time-stamp counter, for the crate `tracer`, which has no `unsafe`.

/// Reads the processor's time-stamp counter. Whether it counts steadily is for the caller to know.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[expect(clippy::inline_always, reason = "one instruction")]
pub fn time_stamp() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, which reads a counter into registers and does nothing
    // else. If the kernel forbids it to a process, it ends the process.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Reads the processor's time-stamp counter. Whether it counts steadily is for the caller to know.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
#[expect(clippy::inline_always, reason = "one instruction")]
pub fn time_stamp() -> u64 {
    let count;
    // SAFETY: every aarch64 processor has the virtual counter, which is read into a register, and nothing else
    // changes. If the kernel forbids it to a process, it ends the process.
    unsafe {
        std::arch::asm!("mrs {}, cntvct_el0", out(reg) count, options(nomem, nostack, preserves_flags));
    }
    count
}

/// Returns 0: no counter of this kind of processor is known here.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline]
pub fn time_stamp() -> u64 {
    0
}
