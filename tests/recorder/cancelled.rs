//! Cancelled requests: their future is dropped. A dropped branch doesn't cancel its request.

use std::pin::pin;
use std::task::{Context, Waker};

use tracer::hotspots::By;
use tracer::recorder::Policy;
use tracer::{Outcome, call};

use crate::{kept, recorder, request};

#[test]
fn a_future_that_is_dropped_is_cancelled() {
    let recorder = recorder(Policy::none().cancelled().panicked());
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut future = pin!(recorder.begin("waits").instrument(async {
            let _call = call!();
            std::future::pending::<()>().await;
        }));
        assert!(future.as_mut().poll(&mut context).is_pending());
        assert_eq!(recorder.statistics().in_flight, 1);
    }
    {
        let panics = recorder.begin("panics").instrument(async {
            std::panic::resume_unwind(Box::new(()));
        });
        let mut panics = pin!(panics);
        let mut poll = || panics.as_mut().poll(&mut context);
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut poll)).is_err());
    }
    drop(recorder.begin("never polled").instrument(async {}));
    let outcomes: Vec<_> = kept(&recorder)
        .iter()
        .map(|it| (request(it).name.clone(), request(it).outcome.clone()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("waits".to_owned(), Outcome::Cancelled),
            ("panics".to_owned(), Outcome::Panicked),
            ("never polled".to_owned(), Outcome::Cancelled)
        ]
    );
    assert_eq!(kept(&recorder)[0].calls[0].outcome, Outcome::Cancelled);
}

#[test]
fn a_dropped_branch_does_not_cancel_its_request() {
    let recorder = recorder(Policy::default().when("all", |_| true));
    let select = |mut recording: tracer::recorder::Recording, id: &str| {
        recording.id(id);
        let _scope = recording.inject();
        drop(call!("loses").instrument(async {}));
        if id == "ends well" {
            call!("wins").stop();
        }
    };
    select(recorder.begin("job"), "ends well");
    select(recorder.begin("job"), "does not");
    let outcomes: Vec<_> = kept(&recorder)
        .iter()
        .map(|it| (request(it).id.clone().unwrap(), request(it).outcome.clone()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("ends well".to_owned(), Outcome::Ok),
            ("does not".to_owned(), Outcome::Cancelled)
        ]
    );
    for report in kept(&recorder) {
        assert_eq!(report.outcome(), &request(&report).outcome);
    }
    let [job] = &recorder.routes()[..] else {
        panic!()
    };
    assert_eq!((job.failed, job.panicked, job.cancelled), (0, 0, 1));
    let hotspots = recorder.hotspots(None);
    let loses = &hotspots.functions(By::Cancelled)[0];
    assert_eq!(
        (
            loses.totals.calls,
            loses.totals.failures,
            loses.totals.cancelled
        ),
        (2, 0, 2)
    );
}
