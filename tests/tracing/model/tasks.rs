//! Tasks: a poll is a thread that enters the task's span first, and leaves it at last. Which of a runtime's workers it is
//! makes no difference.

use super::{Here, Model};

/// The tasks of a program.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    all: Vec<Task>,
    /// Those that are not over.
    alive: Vec<usize>,
    /// The others, in the order of their ends.
    over: Vec<usize>,
    /// The one whose steps are taken; if none, they are the first thread's.
    current: Option<usize>,
    /// The first thread, while a task's steps are taken.
    first: Here,
    /// A task is over, and lets its span go.
    pub(super) ends: Option<Elsewhere>,
}

/// How a task is over, and whose span it lets go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elsewhere {
    pub(super) of: usize,
    pub(super) is_cancelled: bool,
}

#[derive(Debug)]
struct Task {
    span: usize,
    /// What it has between its steps.
    here: Here,
    is_polled: bool,
    is_aborted: bool,
}

/// The most tasks at once: each may be in the middle of a poll, and the runtime has one more worker.
pub(crate) const MOST: usize = 3;

impl Tasks {
    pub(super) fn are_used(&self) -> bool {
        !self.all.is_empty()
    }
}

/// A guard that is not stopped in its strand.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Left {
    pub(super) call: usize,
    /// Its task, in the order in which they are over; if none, it is the first thread's.
    pub(crate) task: Option<usize>,
    /// Which of the guards there.
    pub(crate) guard: usize,
}

impl Model {
    /// Returns the guards of the first thread and of tasks that are left at the end, from the inside out.
    pub(super) fn left(&self) -> Vec<Left> {
        let tasks = self
            .tasks
            .over
            .iter()
            .map(|task| &self.tasks.all[*task].here);
        let tasks = tasks.enumerate().map(|(nth, here)| (Some(nth), here));
        let all = std::iter::once((None, &self.here)).chain(tasks);
        let left = all.flat_map(|(task, here)| {
            let guards = here.guards.iter().enumerate();
            guards.filter_map(move |(guard, call)| {
                let call = (*call)?;
                Some(Left { call, task, guard })
            })
        });
        let mut left: Vec<_> = left.collect();
        left.sort_unstable_by(|one, other| other.cmp(one));
        left
    }

    /// Lets the first thread go on, or this task.
    fn go_to(&mut self, task: Option<usize>) {
        let Tasks {
            all,
            first,
            current,
            ..
        } = &mut self.tasks;
        let before = match *current {
            Some(task) => &mut all[task].here,
            None => &mut *first,
        };
        std::mem::swap(&mut self.here, before);
        let after = match task {
            Some(task) => &mut all[task].here,
            None => first,
        };
        std::mem::swap(&mut self.here, after);
        *current = task;
    }

    pub(super) fn spawn(&mut self, which: usize) {
        if self.handles.is_empty() || self.tasks.alive.len() == MOST {
            return;
        }
        let span = self.handles[which % self.handles.len()];
        self.spans[span].references += 1;
        let task = self.tasks.all.len();
        self.tasks.alive.push(task);
        self.tasks.all.push(Task {
            span,
            here: Here::default(),
            is_polled: false,
            is_aborted: false,
        });
        let before = self.tasks.current;
        self.go_to(Some(task));
        self.enter(span);
        self.exit(span);
        self.go_to(before);
    }

    pub(super) fn go(&mut self, which: usize) {
        let which = which % (self.tasks.alive.len() + 1);
        let task = which.checked_sub(1).map(|place| self.tasks.alive[place]);
        self.go_to(task);
        if let Some(task) = task
            && !std::mem::replace(&mut self.tasks.all[task].is_polled, true)
        {
            self.enter(self.tasks.all[task].span);
        }
    }

    /// Ends the poll of the task whose steps are taken, and the task if it is ready or aborted.
    pub(super) fn end_poll(&mut self, is_ready: bool) {
        let Some(task) = self.tasks.current else {
            return;
        };
        let span = self.tasks.all[task].span;
        while let Some(entered) = self.here.entries.pop() {
            self.exit(entered);
            self.release(entered);
        }
        while !self.here.scopes.is_empty() {
            self.leave_scope();
        }
        self.exit(span);
        self.tasks.all[task].is_polled = false;
        if is_ready || self.tasks.all[task].is_aborted {
            self.end_task(task, !is_ready);
        } else {
            self.go_to(None);
        }
    }

    pub(super) fn abort(&mut self, which: usize) {
        if self.tasks.alive.is_empty() {
            return;
        }
        let task = self.tasks.alive[which % self.tasks.alive.len()];
        if self.tasks.all[task].is_polled {
            self.tasks.all[task].is_aborted = true;
            return;
        }
        let before = self.tasks.current;
        self.go_to(Some(task));
        self.end_task(task, true);
        self.go_to(before);
    }

    /// Drops the future of a task, whose steps are taken. The first thread goes on.
    fn end_task(&mut self, task: usize, is_cancelled: bool) {
        let span = self.tasks.all[task].span;
        self.enter(span);
        let guards = (0..self.here.guards.len()).rev();
        let stopped = guards.map(|guard| {
            let may_stop = self.may_stop(guard);
            if may_stop && let Some(call) = self.here.guards[guard].take() {
                self.stop(call);
            }
            may_stop
        });
        let stopped = stopped.collect();
        self.stopped.push(stopped);
        self.exit(span);
        self.tasks.ends = Some(Elsewhere {
            of: span,
            is_cancelled: is_cancelled || self.spans[span].may_have_dropped,
        });
        self.release(span);
        self.tasks.ends = None;
        self.tasks.alive.retain(|alive| *alive != task);
        self.tasks.over.push(task);
        self.go_to(None);
    }
}
