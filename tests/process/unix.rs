//! The tests, and the program that runs them.

#[path = "../common/boxes.rs"]
mod boxes;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/sites.rs"]
mod figures;
#[path = "../common/lines.rs"]
mod lines;
#[path = "../common/on_drop.rs"]
mod on_drop;

mod callsites;
mod fork;
mod hunt;
mod levels;
mod limits;
mod memory;
mod no_memory;
#[cfg(not(asan))]
mod otlp_fork;
#[cfg(not(asan))]
mod page_memory;
mod panic_hook;
mod recorder_fork;
mod recorder_memory;
mod recorder_no_memory;
mod recorder_owners;
mod recorder_processes;
mod steady;

use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tracer::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting::system();

type Test = (&'static str, fn());

macro_rules! tests {
    ($($(#[$when:meta])? $module:ident::$name:ident,)*) => {
        &[$($(#[$when])? (concat!(stringify!($module), "::", stringify!($name)), $module::$name)),*]
    };
}

const TESTS: &[Test] = tests![
    callsites::beyond_the_most_all_others_are_one,
    fork::a_childs_traces_have_ids_of_their_own,
    fork::others_follow_blocks,
    fork::others_record_sites,
    fork::others_report,
    fork::others_set_checkpoints,
    fork::others_trace,
    hunt::all_that_carries_the_trace_is_in_it,
    hunt::the_table_is_on_standard_error,
    levels::of_a_wrapped_subscriber,
    limits::a_hundred_thousand_calls_in_one_trace_of_four_workers,
    memory::further_strands_are_given_back,
    memory::memory_is_bounded_by_the_highest_load,
    memory::texts_of_callers_are_given_back,
    no_memory::what_can_not_be_recorded_is_left_out,
    #[cfg(not(asan))]
    otlp_fork::the_child_neither_sends_the_parents_batch_nor_hangs,
    #[cfg(not(asan))]
    page_memory::pages_are_given_back,
    panic_hook::what_is_in_flight_is_dumped_at_a_panic,
    recorder_fork::others_end_requests,
    recorder_memory::never_more_than_it_was_given,
    recorder_no_memory::what_can_not_be_recorded_is_counted,
    recorder_owners::what_the_program_hands_over_is_given_back_as_its_own,
    recorder_processes::a_forked_child_keeps_nobody_out,
    recorder_processes::a_limit_on_file_sizes_costs_nothing_but_reports,
    recorder_processes::of_two_that_start_at_once_one_runs,
    recorder_processes::the_running_one_keeps_its_file,
    steady::a_warm_request_allocates_nothing,
];

/// The parts of tests that run in further processes.
const PARTS: &[Test] = tests![
    hunt::hunts,
    no_memory::without_memory,
    panic_hook::panics_with_requests_in_flight,
    recorder_no_memory::without_memory,
    recorder_processes::fork_and_wait,
    recorder_processes::limited,
    recorder_processes::write,
];

/// The first argument of a process that runs one test or part.
const ALONE: &str = "--alone";

/// Runs this program as one of [`TESTS`] or [`PARTS`].
fn alone(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([ALONE, name]);
    command
}

/// Runs this program as one of [`PARTS`], with limits set by the shell's `ulimit`.
fn alone_within(limits: &str, name: &str) -> Command {
    let script = format!(r#"ulimit {limits} && exec "$0" "$@""#);
    let mut command = Command::new("sh");
    let me = std::env::current_exe().unwrap();
    command.args(["-c", &script]).arg(me).args([ALONE, name]);
    command
}

/// Returns the argument of a part.
fn argument() -> String {
    std::env::args().nth(3).expect("an argument")
}

/// Whether the name contains one of the words, or, if `exactly`, is one of them.
fn is_meant(name: &str, words: &[String], exactly: bool) -> bool {
    let mut words = words.iter();
    words.any(|word| {
        if exactly {
            name == word
        } else {
            name.contains(word)
        }
    })
}

/// Takes libtest's arguments that select tests, and `--list`.
pub(crate) fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut wanted, mut skipped) = (Vec::new(), Vec::new());
    let (mut list, mut exactly) = (false, false);
    while let Some(argument) = arguments.next() {
        match &*argument {
            ALONE => {
                let name = arguments.next().expect("a name");
                let mut all = TESTS.iter().chain(PARTS);
                let (_, run) = all.find(|it| it.0 == name).expect("a test or a part");
                run();
                return ExitCode::SUCCESS;
            }
            "--list" => list = true,
            "--exact" => exactly = true,
            "--skip" => skipped.extend(arguments.next()),
            "--color" | "--format" | "--test-threads" => drop(arguments.next()),
            option if option.starts_with('-') => {}
            _ => wanted.push(argument),
        }
    }
    let mut chosen: Vec<&str> = TESTS.iter().map(|it| it.0).collect();
    chosen.retain(|name| {
        let is_wanted = wanted.is_empty() || is_meant(name, &wanted, exactly);
        is_wanted && !is_meant(name, &skipped, exactly)
    });
    if list {
        for name in &chosen {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if run(&chosen) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs as many tests at once as there are processors, and returns whether all have passed.
fn run(names: &[&str]) -> bool {
    let left = Mutex::new(names.iter());
    let failed = AtomicBool::new(false);
    let work = || {
        loop {
            let Some(name) = left.lock().unwrap().next() else {
                return;
            };
            let output = alone(name).stdin(Stdio::null()).output().unwrap();
            if output.status.success() {
                println!("test {name} ... ok");
                continue;
            }
            failed.store(true, Relaxed);
            let texts = [output.stdout, output.stderr];
            let [out, errors] = texts.map(|text| String::from_utf8_lossy(&text).into_owned());
            println!("test {name} ... FAILED ({})\n{out}{errors}", output.status);
        }
    };
    let at_once = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|threads| {
        for _ in 0..at_once {
            threads.spawn(work);
        }
    });
    !failed.into_inner()
}
