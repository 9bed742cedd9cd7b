//! No task of a node or client panics. tokio keeps a task's panic to the task, so the hook here writes it down.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

pub const NAME: &str = "nothing_panics";

thread_local! {
    /// Each run has a thread of its own.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Writes down every panic of the thread it happens on, instead of printing it.
pub fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // Test threads and the command line still print theirs.
            let ours = std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("seed "));
            if ours {
                PANICS.with_borrow_mut(|panics| panics.push(info.to_string()));
            } else {
                print(info);
            }
        }));
    });
}

/// The panics of this thread so far, and no longer.
pub fn take() -> Vec<String> {
    PANICS.take()
}
