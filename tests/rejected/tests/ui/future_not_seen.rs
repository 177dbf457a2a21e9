//! A future is traced and has a budget if it can be seen in the body; otherwise the figures would
//! be those of making it.

use std::future::Future;
use std::pin::Pin;

use tracer::{budget, traced};

struct Client;

impl Client {
    async fn get(&self) -> u32 {
        1
    }

    #[traced]
    fn handed_on(&self) -> Pin<Box<dyn Future<Output = u32> + Send + '_>> {
        Box::pin(self.get())
    }

    #[traced(err)]
    fn unnamed(&self) -> impl Future<Output = Result<u32, String>> {
        std::future::ready(Ok(1))
    }

    #[budget(allocations <= 1)]
    fn early(&self, is_early: bool) -> Pin<Box<dyn Future<Output = u32> + Send + '_>> {
        if is_early {
            return Box::pin(self.get());
        }
        Box::pin(async move { self.get().await })
    }
}

trait Service {
    type Future;

    fn call(&self) -> Self::Future;
}

impl Service for Client {
    type Future = std::future::Ready<u32>;

    #[budget(allocations <= 1)]
    fn call(&self) -> Self::Future {
        std::future::ready(1)
    }
}

fn main() {}
