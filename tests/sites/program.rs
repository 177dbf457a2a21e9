// A program that prints the virtual addresses of some of its instructions, a line for each.

use std::arch::asm;
use std::fmt::Debug;

/// Returns the address of the next instruction, as a call's return address would be.
#[inline(always)]
fn here() -> usize {
    let address;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it reads the program counter only.
    unsafe {
        asm!("lea {}, [rip]", out(reg) address)
    };
    #[cfg(target_arch = "aarch64")]
    // SAFETY: it reads the program counter only.
    unsafe {
        asm!("adr {}, . + 4", out(reg) address)
    };
    address
}

#[inline(never)]
fn inlined() -> usize {
    here()
}

#[inline(never)]
fn generic<T: Debug>(value: T) -> usize {
    assert_ne!(format!("{value:?}"), "");
    here()
}

#[inline(never)]
fn call(work: &dyn Fn() -> usize) -> usize {
    work()
}

fn main() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    // The program is the first mapping. Its file has it at 0.
    let start = usize::from_str_radix(maps.split('-').next().unwrap(), 16).unwrap();
    let in_closure = call(&|| here() + start - start);
    let of_std = std::env::current_dir as *const () as usize + 1;
    for address in [inlined(), generic(1_u8), in_closure, of_std] {
        println!("{}", address - 1 - start);
    }
}
