//! What is known of functions from earlier walks: where a frame of each ends, and where its caller's frame pointer is.
//! A step by such a rule takes 5 ns, and one by framehop 15 to 100.
//!
//! framehop does not tell what it finds in the tables. But it takes a step by registers and memory that it is given, so
//! it is given such as show in the result where this comes from.
//!
//! On other processors than x86-64, each step is by framehop.

use framehop::{FrameAddress, Unwinder as _};

use super::registers::Registers;
use super::tables::{Cache, Tables};

/// The places for rules. An address has one of them, so that some push each other out.
const PLACES: usize = if cfg!(target_arch = "x86_64") {
    2048
} else {
    0
};

/// The rules of a thread, and what framehop remembers for it.
pub(super) struct Rules {
    places: Vec<Rule>,
    cache: Cache,
}

/// How to get from a function, at an address in it, to the caller. The caller's address is below the end of the frame:
/// <https://gitlab.com/x86-psABIs/x86-64-ABI>, 3.2.2.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Rule {
    /// 0 if there is no rule.
    address: u64,
    /// From the stack pointer to the end of the frame; 0 if the frame ends 16 bytes above the frame pointer.
    size: u32,
    frame_pointer: Saved,
}

/// Where the caller's frame pointer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Saved {
    InRegister,
    /// In memory, so many bytes from the stack pointer.
    FromStackPointer(i16),
    /// In memory, where the frame pointer points to.
    AtFramePointer,
}

impl Rules {
    /// Returns `None` if there is no memory.
    pub(super) fn new(cache: Cache) -> Option<Self> {
        let mut places = Vec::new();
        places.try_reserve_exact(PLACES).ok()?;
        let none = Rule {
            address: 0,
            size: 0,
            frame_pointer: Saved::InRegister,
        };
        places.resize(PLACES, none);
        Some(Self { places, cache })
    }

    /// Goes from a frame to the caller's: changes the registers, and returns the address in the caller, or `None` if
    /// the stack ends here. It is an error if the way is not known.
    #[inline]
    pub(super) fn step(
        &mut self,
        frame: FrameAddress,
        registers: &mut Registers,
        tables: &Tables,
        read: &mut impl FnMut(u64) -> Result<u64, ()>,
    ) -> Result<Option<u64>, ()> {
        let address = frame.address();
        match self.places.get(place(address)) {
            Some(rule) if rule.address == address => rule.step(registers, read),
            _ => self.learn(frame, registers, tables, read),
        }
    }

    /// Does what [`step`](Self::step) does for an address without a rule, and finds the rule.
    #[cold]
    #[inline(never)]
    fn learn(
        &mut self,
        frame: FrameAddress,
        registers: &mut Registers,
        tables: &Tables,
        read: &mut impl FnMut(u64) -> Result<u64, ()>,
    ) -> Result<Option<u64>, ()> {
        let address = frame.address();
        // Else it is code that was made at run time, for which framehop would take the frame pointer.
        #[expect(clippy::cast_possible_truncation, reason = "the same size")]
        if !tables.has(address as usize) {
            return Err(());
        }
        let place = place(address);
        if place < self.places.len()
            && let Some(rule) = self.find(frame, tables)
        {
            self.places[place] = rule;
        }
        self.ask(frame, registers, tables, read)
    }

    /// Takes a step by framehop.
    fn ask(
        &mut self,
        frame: FrameAddress,
        registers: &mut Registers,
        tables: &Tables,
        read: &mut impl FnMut(u64) -> Result<u64, ()>,
    ) -> Result<Option<u64>, ()> {
        let mut native = registers.to_native();
        let caller = { &tables.unwinder }.unwind_frame(frame, &mut native, &mut self.cache, read);
        *registers = Registers::of_native(&native);
        caller.map_err(|_| ())
    }

    /// Finds the rule of a frame by steps from made-up values of stack and frame pointer. Returns `None` if there is
    /// no simple one.
    fn find(&mut self, frame: FrameAddress, tables: &Tables) -> Option<Rule> {
        // At other distances, so that a rule for one register does not look like one for the other.
        let made_up = [(0x1_0000, 0x11_0000), (0x35_0000, 0x4f_0000)];
        let [one, other] = made_up.map(|at| self.try_out(frame, at, tables));
        let rule = one.filter(|_| one == other)?;
        // A frame pointer of 0 ends the stack for code whose table names it. For code without a table, it is an error.
        if rule.size == 0 {
            let mut without = Registers::made_up(0x1_0000, 0);
            let caller = self.ask(frame, &mut without, tables, &mut Ok);
            return (caller == Ok(None)).then_some(rule);
        }
        Some(rule)
    }

    /// Returns the rule that a step from these values would follow.
    fn try_out(
        &mut self,
        frame: FrameAddress,
        (stack_pointer, frame_pointer): (u64, u64),
        tables: &Tables,
    ) -> Option<Rule> {
        /// The content of an address is the address and this.
        const CONTENT: u64 = 1 << 40;
        let mut after = Registers::made_up(stack_pointer, frame_pointer);
        let mut read = |address: u64| address.checked_add(CONTENT).ok_or(());
        let caller = self.ask(frame, &mut after, tables, &mut read);
        let end = after.stack_pointer;
        if caller != Ok(Some(end.checked_sub(8)?.checked_add(CONTENT)?)) {
            return None;
        }
        let size = if end == frame_pointer + 16 {
            0
        } else {
            let size = u32::try_from(end.checked_sub(stack_pointer)?);
            size.ok().filter(|size| *size >= 8)?
        };
        let frame_pointer = match after.frame_pointer.checked_sub(CONTENT) {
            None if after.frame_pointer == frame_pointer => Saved::InRegister,
            None => return None,
            Some(from) if from == frame_pointer => Saved::AtFramePointer,
            Some(from) => {
                let distance = from.wrapping_sub(stack_pointer).cast_signed();
                Saved::FromStackPointer(i16::try_from(distance).ok()?)
            }
        };
        Some(Rule {
            address: frame.address(),
            size,
            frame_pointer,
        })
    }
}

impl Rule {
    #[inline]
    fn step(
        &self,
        registers: &mut Registers,
        read: &mut impl FnMut(u64) -> Result<u64, ()>,
    ) -> Result<Option<u64>, ()> {
        let Registers {
            stack_pointer,
            frame_pointer,
            ..
        } = *registers;
        let end = match self.size {
            0 if frame_pointer == 0 => return Ok(None),
            0 => frame_pointer.checked_add(16).ok_or(())?,
            size => stack_pointer.checked_add(size.into()).ok_or(())?,
        };
        if end <= stack_pointer {
            return Err(());
        }
        let caller = read(end - 8)?;
        if caller == 0 {
            return Ok(None);
        }
        let of_caller = match self.frame_pointer {
            Saved::InRegister => frame_pointer,
            Saved::FromStackPointer(distance) => {
                read(stack_pointer.wrapping_add_signed(distance.into()))?
            }
            Saved::AtFramePointer => read(frame_pointer)?,
        };
        *registers = Registers {
            link: caller,
            stack_pointer: end,
            frame_pointer: of_caller,
        };
        Ok(Some(caller))
    }
}

/// Returns the place of an address. The next step waits for this, so it is no better hash.
#[inline]
fn place(address: u64) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "the same size")]
    let address = address as usize;
    (address ^ (address >> 11)) % PLACES.max(1)
}
