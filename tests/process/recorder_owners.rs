//! Ownership of memory: texts and closures that the program hands to a recorder are freed as the
//! program's.

use std::borrow::Cow;
use std::path::PathBuf;

use tracer::alloc::measure;
use tracer::recorder::{Policy, Recorder, Rotation};
use tracer::{Outcome, memory};

fn own_bytes() -> i64 {
    let own = memory().overhead;
    own.expect("`Counting` is installed").net_bytes()
}

/// Returns the blocks and bytes that `work` leaves allocated.
fn left(work: impl FnOnce()) -> (i64, i64) {
    let counts = measure(work).counts.unwrap();
    let blocks = counts.allocations.cast_signed() - counts.deallocations.cast_signed();
    (blocks, counts.net_bytes())
}

fn request(recorder: &Recorder, number: u32, is_kept: bool) {
    let mut recording = recorder.begin(&format!("job {}", number % 3));
    recording.id(format!("{number:>100}"));
    recording.label(format!("label {number}"), format!("{number:>300}"));
    recording.label(Cow::Owned("x".repeat(300)), String::new());
    recording.label("borrowed", number);
    recording.fail(String::from("first"));
    recording.outcome(Outcome::Failed("why ".repeat(1000)));
    if !is_kept {
        recording.outcome(Outcome::Ok);
    }
}

pub(crate) fn what_the_program_hands_over_is_given_back_as_its_own() {
    let recorder = Recorder::builder().policy(Policy::none()).start().unwrap();
    (0..100).for_each(|number| request(&recorder, number, false));
    let before = own_bytes();
    let after = left(|| (0..10_000).for_each(|number| request(&recorder, number, false)));
    assert_eq!(after, (0, 0));
    // The baseline grows, within its share of the memory.
    let grown = own_bytes() - before;
    assert!((0..1 << 20).contains(&grown), "{grown}");
    drop(recorder);

    // A recorder's whole life: the names of rules and of the file, and the captures of rules.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kept.jsonl");
    let life = || {
        let captured = "captured".repeat(100);
        let policy = Policy::none().failed();
        let policy = policy.when("rule".repeat(100), move |it| it.name == captured);
        let builder = Recorder::builder().policy(policy.clone());
        let path = PathBuf::from(format!("{}", path.display()));
        let recorder = builder.file(path, Rotation::default()).start().unwrap();
        (0..10).for_each(|number| request(&recorder, number, true));
    };
    life();
    assert_eq!(left(life), (0, 0));
}
