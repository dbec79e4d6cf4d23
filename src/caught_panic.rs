//! Calls into libraries that panic, for causes that are no mistake of the program.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread is in a call of [`caught`].
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Calls `call`. If it panics, nothing is printed, and the message is returned.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    silence_caught_panics();
    let before = IS_CAUGHT.replace(true);
    // A caller does not use what the call was changing.
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    IS_CAUGHT.set(before);
    result.map_err(|payload| message(payload.as_ref()).to_owned())
}

/// Keeps the panics of [`caught`] from being printed, once for the process.
fn silence_caught_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_CAUGHT.try_with(Cell::get).unwrap_or(false) {
                print(panic);
            }
        }));
    });
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next())
        .unwrap_or("a panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(caught(|| 7), Ok(7));
        assert_eq!(
            caught(|| panic!("no token {}\nmore", 9)),
            Err::<(), _>("no token 9".to_owned())
        );
        assert!(!IS_CAUGHT.get());
    }
}
