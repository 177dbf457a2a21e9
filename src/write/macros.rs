//! The macro that opens a call.

/// Opens a call of the current trace, named after the enclosing function. The call stops when the
/// [guard](crate::Call) is dropped. Without a current trace it does nothing, and evaluates nothing.
///
/// - `call!()`
/// - `call!("{request_id}")`, `call!("{}", request.id())`: with an id, formatted as by [`format!`].
/// - `call!("{request_id}", rows = n)`, `call!(rows = n)`: with labels, of anything that is
///   [`Display`](std::fmt::Display). `name = value` is always a label, never an argument of the
///   format string.
///
/// Id and labels are copied, without an allocation of the tracer's, and cut to 1,024 bytes together. If
/// formatting one panics, the label says so and the call goes on.
///
/// Cost: two clock reads and some 30 stores from start to stop; a load and a branch without a
/// trace. Formatting comes on top.
///
/// ```
/// use tracer::{Trace, call};
///
/// fn fetch_data(request_id: &str, rows: usize) {
///     let call = call!("{request_id}", rows = rows);
///     call.checkpoint("decoded");
/// }
///
/// let trace = Trace::new();
/// let scope = trace.inject();
/// fetch_data("ca7a87c4", 3);
/// drop(scope);
/// let call = &trace.report().calls[0];
/// assert_eq!((&*call.name, call.id.as_deref()), ("fetch_data", Some("ca7a87c4")));
/// assert_eq!(call.labels, [("rows".into(), "3".to_owned())]);
/// assert_eq!(call.checkpoints[0].name, "decoded");
/// ```
#[doc(alias = "span")]
#[macro_export]
macro_rules! call {
    ($($arguments:tt)*) => {
        $crate::__call!(@parse [here]; $($arguments)*)
    };
}

/// For `#[traced]`: opens a call as `call!` does, with a given name.
#[doc(hidden)]
#[macro_export]
macro_rules! __named_call {
    ($name:literal; $($arguments:tt)*) => {
        $crate::__call!(@parse [$name]; $($arguments)*)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __call {
    // The id comes first, if there is one, ...
    (@parse $place:tt;) => {
        $crate::__call!(@open $place [] [])
    };
    (@parse $place:tt; $label:ident = $($rest:tt)*) => {
        $crate::__call!(@labels $place [] []; $label = $($rest)*)
    };
    (@parse $place:tt; $format:literal $(, $($rest:tt)*)?) => {
        $crate::__call!(@id $place [$format]; $($($rest)*)?)
    };
    (@parse $place:tt; $($other:tt)*) => {
        ::core::compile_error!(
            "expected a call's id as a format string, `\"{id}\"`, then labels as `name = value`"
        )
    };
    // ... with what is formatted into it, up to the first label, ...
    (@id $place:tt [$($id:tt)*];) => {
        $crate::__call!(@open $place [$($id)*] [])
    };
    (@id $place:tt [$($id:tt)*]; $label:ident = $($rest:tt)*) => {
        $crate::__call!(@labels $place [$($id)*] []; $label = $($rest)*)
    };
    (@id $place:tt [$($id:tt)*]; $argument:expr $(, $($rest:tt)*)?) => {
        $crate::__call!(@id $place [$($id)*, $argument]; $($($rest)*)?)
    };
    (@id $place:tt $id:tt; $($other:tt)*) => {
        ::core::compile_error!("expected arguments of the id's format string, or labels as `name = value`")
    };
    // ... and then labels only.
    (@labels $place:tt $id:tt [$($labels:tt)*];) => {
        $crate::__call!(@open $place $id [$($labels)*])
    };
    (@labels $place:tt $id:tt [$($labels:tt)*]; $label:ident = $value:expr $(, $($rest:tt)*)?) => {
        $crate::__call!(@labels $place $id [$($labels)* ($label, $value)]; $($($rest)*)?)
    };
    (@labels $place:tt $id:tt $labels:tt; $($other:tt)*) => {
        ::core::compile_error!(
            "expected labels as `name = value`, separated by commas; a call's id stands before them"
        )
    };

    (@open $place:tt [] []) => {{
        $crate::__call!(@callsite $place false, []);
        $crate::Call::start(&__TRACER_CALLSITE)
    }};
    (@open $place:tt [] [$(($label:ident, $value:expr))+]) => {{
        $crate::__call!(@callsite $place false, [$($label)+]);
        if $crate::Call::is_enabled() {
            $crate::Call::start_with(
                &__TRACER_CALLSITE,
                ::core::option::Option::None,
                &[$(&$value),+],
            )
        } else {
            $crate::Call::none()
        }
    }};
    (@open $place:tt [$($id:tt)+] []) => {{
        $crate::__call!(@callsite $place true, []);
        if $crate::Call::is_enabled() {
            $crate::Call::start_with_id(&__TRACER_CALLSITE, ::core::format_args!($($id)+))
        } else {
            $crate::Call::none()
        }
    }};
    (@open $place:tt [$($id:tt)+] [$(($label:ident, $value:expr))+]) => {{
        $crate::__call!(@callsite $place true, [$($label)+]);
        if $crate::Call::is_enabled() {
            $crate::Call::start_with(
                &__TRACER_CALLSITE,
                ::core::option::Option::Some(&::core::format_args!($($id)+)),
                &[$(&$value),+],
            )
        } else {
            $crate::Call::none()
        }
    }};

    (@callsite [here] $has_id:literal, [$($label:ident)*]) => {
        fn __tracer_here() {}
        static __TRACER_CALLSITE: $crate::Callsite = $crate::Callsite::around(
            || ::core::any::type_name_of_val(&__tracer_here),
            (::core::module_path!(), ::core::file!(), ::core::line!()),
            $has_id,
            &[$($crate::__private::label(::core::stringify!($label))),*],
        );
    };
    (@callsite [$name:literal] $has_id:literal, [$($label:ident)*]) => {
        static __TRACER_CALLSITE: $crate::Callsite = $crate::Callsite::named(
            $name,
            (::core::module_path!(), ::core::file!(), ::core::line!()),
            $has_id,
            &[$($crate::__private::label(::core::stringify!($label))),*],
        );
    };
}

/// Returns the name of a label, without the prefix of a raw identifier such as `r#type`.
#[doc(hidden)]
#[must_use]
pub const fn label(written: &'static str) -> &'static str {
    match written.as_bytes() {
        [b'r', b'#', ..] => written.split_at(2).1,
        _ => written,
    }
}
