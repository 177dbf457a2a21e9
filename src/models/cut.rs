//! Counters of several groups, read at one moment.

use loom::thread;

use super::{explore, leak};
use crate::primitives::cut::{Counter, Moment, Moments};
use crate::primitives::sync::Mutex;

struct Group {
    begun: Mutex<Counter<u64>>,
    ended: Mutex<Counter<u64>>,
}

impl Group {
    fn new() -> Self {
        Self {
            begun: Mutex::new(Counter::default()),
            ended: Mutex::new(Counter::default()),
        }
    }
}

fn add(counter: &Mutex<Counter<u64>>, moments: &Moments) {
    let mut counter = counter.lock().unwrap();
    *counter.change(moments.now()) += 1;
}

fn sum<'a>(counters: impl Iterator<Item = &'a Mutex<Counter<u64>>>, moment: Moment) -> u64 {
    counters.map(|it| it.lock().unwrap().at(moment)).sum()
}

#[test]
fn in_flight_is_a_number_that_there_was() {
    explore(3, || {
        let (moments, groups) = leak((Moments::new(), [Group::new(), Group::new()]));
        // Requests one after another, in different groups.
        let writer = thread::spawn(|| {
            let [one, other] = groups;
            for (begins, ends) in [(one, one), (other, one)] {
                add(&begins.begun, moments);
                add(&ends.ended, moments);
            }
        });
        let moment = moments.begin();
        let ended = sum(groups.iter().map(|it| &it.ended), moment);
        let begun = sum(groups.iter().map(|it| &it.begun), moment);
        assert!(begun == ended || begun == ended + 1, "{begun}, {ended}");
        writer.join().unwrap();
        let moment = moments.begin();
        let ended = sum(groups.iter().map(|it| &it.ended), moment);
        assert_eq!(ended, 2);
    });
}
