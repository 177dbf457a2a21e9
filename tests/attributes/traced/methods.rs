//! Methods, with every kind of receiver.

use std::fmt::Debug;

use tracer::traced;

use super::{Refused, lines, record};

#[derive(Debug, Clone)]
struct Stack<T> {
    items: Vec<T>,
}

trait Size {
    fn size(&self) -> usize;

    #[traced]
    fn is_empty(&self) -> bool {
        self.size() == 0
    }
}

impl<T> Size for Stack<T> {
    #[traced]
    fn size(&self) -> usize {
        self.items.len()
    }
}

impl<T: Debug> Stack<T> {
    #[traced]
    fn new() -> Self {
        Self { items: Vec::new() }
    }

    #[traced("{}", self.items.len(), item = format_args!("{item:?}"))]
    fn push(&mut self, item: T) -> &mut Self {
        self.items.push(item);
        self
    }

    #[traced]
    fn top(&self) -> Option<&T> {
        self.items.last()
    }

    #[traced(err)]
    fn top_mut(&mut self) -> Result<&mut T, Refused> {
        let depth = self.items.len();
        self.items.get_mut(depth.wrapping_sub(1)).ok_or(Refused(0))
    }

    #[traced(err)]
    fn into_items(mut self, keep: usize) -> Result<Vec<T>, Refused> {
        if keep > self.items.len() {
            return Err(Refused(u32::try_from(keep).unwrap()));
        }
        self.items.truncate(keep);
        Ok(self.items)
    }

    #[traced]
    fn unboxed(self: Box<Self>) -> Self {
        *self
    }
}

#[test]
fn every_receiver() {
    let ((), report) = record(|| {
        let mut stack = Stack::new();
        stack.push(1).push(2);
        assert_eq!(stack.top(), Some(&2));
        *stack.top_mut().unwrap() += 1;
        assert_eq!(stack.clone().into_items(3).unwrap_err(), Refused(3));
        assert_eq!(Box::new(stack).unboxed().into_items(2).unwrap(), [1, 3]);
    });
    let expected = [
        "new",
        "push [0] item=1",
        "push [1] item=2",
        "top",
        "top_mut",
        r#"into_items: Failed("refused 3")"#,
        "unboxed",
        "into_items",
    ];
    assert_eq!(lines(&report), expected);
}

#[test]
fn trait_methods() {
    let ((), report) = record(|| assert!(Stack::<u8>::new().is_empty()));
    assert_eq!(lines(&report), ["new", "is_empty", "size < is_empty"]);
}
