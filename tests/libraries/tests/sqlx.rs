//! `sqlx`, whose `SQLite` runs on a thread of its own, in which it enters the span of the program.

use std::sync::Once;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};
use tokio::runtime::Runtime;
use tracer::{Report, Trace, traced};
use tracer_libraries::{run, tree, workers};
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, info_span, instrument};
use tracing_subscriber::{Registry, prelude::*};

/// Sets the subscriber for all threads, that of sqlx included.
fn runtime() -> Runtime {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        let layer = tracer::tracing::layer().checkpoints(LevelFilter::DEBUG);
        tracer::tracing::subscriber(Registry::default().with(layer)).init();
    });
    let current = tracing::dispatcher::get_default(tracing::Dispatch::clone);
    workers(&current)
}

mod spans {
    use super::*;

    #[instrument(skip_all)]
    pub(super) async fn create(database: &mut SqliteConnection) {
        let create = "CREATE TABLE orders (id INTEGER PRIMARY KEY, item TEXT NOT NULL)";
        sqlx::query(create).execute(database).await.unwrap();
    }

    #[instrument(skip(database, item))]
    pub(super) async fn insert(database: &mut SqliteConnection, id: i64, item: &str) {
        let insert = sqlx::query("INSERT INTO orders VALUES (?, ?)");
        insert.bind(id).bind(item).execute(database).await.unwrap();
    }

    #[instrument(skip(database), err)]
    pub(super) async fn find(
        database: &mut SqliteConnection,
        id: i64,
    ) -> Result<String, sqlx::Error> {
        let find = sqlx::query("SELECT item FROM orders WHERE id = ?");
        find.bind(id).fetch_one(database).await?.try_get(0)
    }
}

mod calls {
    use super::*;

    #[traced(id = id)]
    pub(super) async fn insert(database: &mut SqliteConnection, id: i64, item: &str) {
        let insert = sqlx::query("INSERT INTO orders VALUES (?, ?)");
        insert.bind(id).bind(item).execute(database).await.unwrap();
    }
}

async fn database() -> SqliteConnection {
    let mut database = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    spans::create(&mut database).await;
    database
}

/// Returns the report of work in a trace, which the connection's own thread has done, too.
fn recorded<F>(work: impl FnOnce(SqliteConnection) -> F + Send + 'static) -> Report
where
    F: Future<Output = SqliteConnection> + Send,
{
    let runtime = runtime();
    let trace = Trace::new();
    let here = trace.clone();
    run(&runtime, async move {
        let work = work(database().await);
        let database = Trace::instrument(&here, work).await;
        // Ends the thread.
        database.close().await.unwrap();
    });
    trace.report()
}

#[test]
fn statements() {
    let report = recorded(async |mut database| {
        spans::insert(&mut database, 7, "lamp").await;
        assert_eq!(spans::find(&mut database, 7).await.unwrap(), "lamp");
        spans::find(&mut database, 8).await.unwrap_err();
        database
    });
    let missing = "no rows returned by a query that expected to return at least one row";
    let expected = format!("insert 7\nfind 7\nfind 8 failed: {missing}\n");
    assert_eq!(tree(&report), expected, "{report:#}");
    // The thread that runs SQLite enters the span: its event and its allocations are the call's.
    for (call, statement) in report.calls.iter().zip(["INSERT", "SELECT", "SELECT"]) {
        let names: Vec<_> = call.checkpoints.iter().map(|it| &*it.name).collect();
        assert!(names[0].contains(statement), "{report:#}");
        assert!(
            (1..90).contains(&call.total.unwrap().allocates()),
            "{report:#}"
        );
    }
}

#[test]
fn a_function_has_the_allocations_that_it_has_as_a_call() {
    let report = recorded(async |mut database| {
        for id in 0..20 {
            let insert = calls::insert(&mut database, id, "lamp");
            insert.instrument(info_span!("outer", id)).await;
        }
        database
    });
    assert_eq!(report.calls.len(), 40, "{report:#}");
    for index in (0..40).step_by(2) {
        let (outer, insert) = (&report.calls[index], &report.calls[index + 1]);
        assert_eq!(outer.name, "outer", "{report:#}");
        assert_eq!(insert.parent, Some(index), "{report:#}");
        // What the thread that runs SQLite does in the span.
        let [outer, insert] = [outer, insert].map(|call| call.total.unwrap().allocates());
        assert!((1..20).contains(&(outer - insert)), "{report:#}");
    }
    assert!(report.subscriber.is_some());
}

#[test]
fn statements_of_a_task_with_a_span() {
    let report = recorded(async |mut database| {
        let task = async move {
            for id in 0..20 {
                spans::insert(&mut database, id, "lamp").await;
            }
            database
        };
        let task = task.instrument(info_span!("task"));
        tokio::spawn(task).await.unwrap()
    });
    let insert = |id| format!("  insert {id}\n");
    let inserts: String = (0..20).map(insert).collect();
    assert_eq!(tree(&report), format!("task\n{inserts}"), "{report:#}");
}
