//! Objects of this node are put and read while it is cut off from all others.

use super::Judged;

pub const NAME: &str = "local_stays_local";

/// Judges what came of `call` on a node that is cut off.
pub fn judge<T, E: std::fmt::Display>(call: &str, outcome: &Result<T, E>) -> Judged {
    match outcome {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{call} on a node that is cut off: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_fails_is_found() {
        judge::<_, String>("get", &Ok(1)).unwrap();
        let found = judge::<(), _>("get", &Err("no majority")).unwrap_err();
        assert!(found.contains("get") && found.contains("no majority"));
    }
}
