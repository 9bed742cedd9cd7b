//! What the demo tells: steps, what each did, how long it took, and checks that end it when they are false.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::args::Format;
use crate::failure::Failure;
use crate::output;

/// The steps so far. In table format each line is printed as it happens; in JSON all of it at the end.
pub(super) struct Story {
    format: Format,
    begun: Instant,
    last: Instant,
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Step {
    step: String,
    acts: Vec<Act>,
    ms: f64,
}

#[derive(Serialize)]
struct Act {
    what: String,
    /// Absent for a check of what earlier acts brought.
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
}

impl Story {
    pub(super) fn new(format: Format) -> Self {
        let now = Instant::now();
        Self {
            format,
            begun: now,
            last: now,
            steps: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, title: &str) -> Result<(), Failure> {
        self.steps.push(Step {
            step: title.to_owned(),
            acts: Vec::new(),
            ms: 0.0,
        });
        self.last = Instant::now();
        self.say("")?;
        self.say(&format!("{}. {title}", self.steps.len()))
    }

    /// Something was done, in the time since the last line.
    pub(super) fn did(&mut self, what: impl Into<String>) -> Result<(), Failure> {
        let (what, now) = (what.into(), Instant::now());
        let took = now - self.last;
        self.last = now;
        self.say(&format!("   {:>10}  {what}", show(took)))?;
        self.note(what, Some(millis(took)));
        Ok(())
    }

    /// As `did`, for `bytes` that were moved: with the rate.
    pub(super) fn moved(&mut self, what: impl Into<String>, bytes: usize) -> Result<(), Failure> {
        let seconds = self.last.elapsed().as_secs_f64().max(1e-9);
        let rate = bytes as f64 / seconds / 1e9;
        self.did(format!("{} ({rate:.2} GB/s)", what.into()))
    }

    /// Something that must hold. False ends the demo.
    pub(super) fn check(&mut self, what: &str, holds: bool) -> Result<(), Failure> {
        if !holds {
            return Err(Failure::Demo(format!(
                "this should hold, and does not: {what}"
            )));
        }
        self.last = Instant::now();
        self.say(&format!("   {:>10}  {what}", "ok"))?;
        self.note(what.to_owned(), None);
        Ok(())
    }

    /// As `check`, for two values that must be equal.
    pub(super) fn equal<T>(&mut self, what: &str, found: &T, expected: &T) -> Result<(), Failure>
    where
        T: PartialEq + std::fmt::Debug,
    {
        if found != expected {
            return Err(Failure::Demo(format!(
                "{what}: expected {expected:?}, found {found:?}"
            )));
        }
        self.check(what, true)
    }

    pub(super) fn end(&self) -> Result<(), Failure> {
        let total = self.begun.elapsed();
        match self.format {
            Format::Json => output::print_json(&serde_json::json!({
                "steps": self.steps, "ms": millis(total), "ok": true,
            })),
            Format::Table => {
                let steps = self.steps.len();
                let end = format!("All {steps} steps held, in {}.", show(total));
                output::print("")?;
                output::print(&end)
            }
        }
    }

    fn note(&mut self, what: String, ms: Option<f64>) {
        let step = self
            .steps
            .last_mut()
            .expect("acts belong to a step that was begun");
        step.ms += ms.unwrap_or(0.0);
        step.acts.push(Act { what, ms });
    }

    fn say(&self, line: &str) -> Result<(), Failure> {
        match self.format {
            Format::Table => output::print(line),
            Format::Json => Ok(()),
        }
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn show(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms >= 1000.0 {
        format!("{:.2} s", ms / 1e3)
    } else {
        format!("{ms:.1} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn acts_are_timed_and_false_checks_end_the_story() {
        let mut story = Story::new(Format::Json);
        story.step("first").unwrap();
        tokio::time::advance(Duration::from_millis(1500)).await;
        story.did("waited").unwrap();
        story.check("one is one", true).unwrap();
        assert_eq!(story.steps[0].ms, 1500.0);
        assert_eq!(story.steps[0].acts.len(), 2);
        let lie = story.equal("the sum", &2, &3).unwrap_err();
        assert_eq!(lie.to_string(), "the sum: expected 3, found 2");
        assert_eq!(lie.code(), 1);
    }

    #[test]
    fn times_are_short_texts() {
        assert_eq!(show(Duration::from_micros(1234)), "1.2 ms");
        assert_eq!(show(Duration::from_millis(1234)), "1.23 s");
    }
}
