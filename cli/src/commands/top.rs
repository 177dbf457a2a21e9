//! `tracer top`: a view in the terminal.

use crate::arguments::Top;
use crate::failure::Failure;
use crate::top::{TOKEN_VARIABLE, Watched, run as watch};

pub(crate) fn run(arguments: &Top) -> Result<(), Failure> {
    let address = { arguments.source.to_str() }.filter(|it| it.contains("://"));
    let watched = match address {
        Some(address) => {
            let of_environment = std::env::var(TOKEN_VARIABLE).ok();
            Watched::page(
                address,
                arguments.token.as_deref(),
                of_environment.as_deref().filter(|it| !it.is_empty()),
            )?
        }
        None => Watched::file(&arguments.source)?,
    };
    watch(watched, arguments.every)
}
