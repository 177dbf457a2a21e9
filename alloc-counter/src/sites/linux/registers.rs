//! Where a walk begins.

use framehop::UnwindRegsNative;

/// A place in a function, with its registers there.
pub(in crate::sites) struct Start {
    pub(super) address: u64,
    pub(super) registers: Registers,
}

/// What a walk needs of the registers.
#[derive(Clone, Copy)]
pub(super) struct Registers {
    /// Where the function returns to, if that is in a register; on x86-64 it is in memory, and this is not used.
    pub(super) link: u64,
    pub(super) stack_pointer: u64,
    pub(super) frame_pointer: u64,
}

impl Registers {
    /// Returns registers of no real frame.
    pub(super) fn made_up(stack_pointer: u64, frame_pointer: u64) -> Self {
        Self {
            link: 1,
            stack_pointer,
            frame_pointer,
        }
    }

    pub(super) fn to_native(self) -> UnwindRegsNative {
        UnwindRegsNative::new(self.link, self.stack_pointer, self.frame_pointer)
    }

    pub(super) fn of_native(native: &UnwindRegsNative) -> Self {
        #[cfg(target_arch = "x86_64")]
        let (link, frame_pointer) = (native.ip(), native.bp());
        #[cfg(target_arch = "aarch64")]
        let (link, frame_pointer) = (native.lr(), native.fp());
        Self {
            link,
            stack_pointer: native.sp(),
            frame_pointer,
        }
    }
}

impl Start {
    /// Returns a place in the function that calls this.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the registers are the caller's")]
    pub(in crate::sites) fn here() -> Self {
        let (address, stack_pointer, frame_pointer): (u64, u64, u64);
        // SAFETY: it reads registers, and writes only those that it is given for its results.
        unsafe {
            std::arch::asm!(
                "lea {}, [rip]", "mov {}, rsp", "mov {}, rbp",
                out(reg) address, out(reg) stack_pointer, out(reg) frame_pointer,
                options(nomem, nostack, preserves_flags),
            );
        }
        Self::new(address, address, stack_pointer, frame_pointer)
    }

    /// Returns a place in the function that calls this.
    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the registers are the caller's")]
    pub(in crate::sites) fn here() -> Self {
        let (address, stack_pointer, frame_pointer, link): (u64, u64, u64, u64);
        // SAFETY: it reads registers, and writes only those that it is given for its results.
        unsafe {
            std::arch::asm!(
                // First, as the register may be one of those that are written.
                "mov {}, x30", "adr {}, .", "mov {}, sp", "mov {}, x29",
                out(reg) link, out(reg) address, out(reg) stack_pointer, out(reg) frame_pointer,
                options(nomem, nostack, preserves_flags),
            );
        }
        Self::new(address, link, stack_pointer, frame_pointer)
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "moves registers")]
    fn new(address: u64, link: u64, stack_pointer: u64, frame_pointer: u64) -> Self {
        Self {
            address,
            registers: Registers {
                link,
                stack_pointer,
                frame_pointer,
            },
        }
    }
}
