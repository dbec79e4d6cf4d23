//! What a sweep shows while it runs: bars on a terminal, plain lines elsewhere.

mod bars;
mod lines;

use crate::results::{PlannedRun, RunState, RunStatus};
use crate::text::units;
use crate::train::{Phase, Progress};
use std::io::IsTerminal;

pub(super) use bars::Bars;
pub(super) use lines::Lines;

/// How far a sweep is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overall {
    pub(super) ended: usize,
    pub(super) runs: usize,
    /// Seconds left.
    pub(super) seconds: f64,
}

/// Shows the course of a sweep. Nothing that it meets may disturb the sweep: a terminal that is gone
/// is no reason to stop.
pub(super) trait Display {
    /// A line for people to read, now.
    fn notice(&mut self, text: &str);
    fn started(&mut self, run: usize, name: &str, steps: u64, resumed: bool);
    /// `seconds`: until the run ends.
    fn advanced(&mut self, run: usize, progress: &Progress, seconds: Option<f64>);
    fn ended(&mut self, run: usize, words: &str);
    fn overall(&mut self, overall: Overall);
    /// Removes what is not meant to stay.
    fn close(&mut self);
}

/// The display that suits standard error, for runs whose longest name has `names` characters.
pub(super) fn display(names: usize) -> Box<dyn Display> {
    if std::io::stderr().is_terminal() {
        Box::new(Bars::new(names))
    } else {
        Box::new(Lines::new(std::io::stderr()))
    }
}

/// How a run ended, in words. `None` for one that was interrupted.
pub fn ending(run: &PlannedRun, status: Option<&RunStatus>) -> String {
    let Some(status) = status else {
        return format!("{}: stopped; the same command goes on with it", run.name);
    };
    let outcome = status.outcome.as_ref();
    match status.state {
        RunState::Done => {
            let mut words = format!("{}: done", run.name);
            if let Some(outcome) = outcome {
                if let Some(val_loss) = outcome.val_loss {
                    words += &format!(", validation loss {}", units::loss(val_loss));
                }
                words += &format!(", {}", units::duration(outcome.seconds));
            }
            words
        }
        RunState::Diverged => format!("{}: diverged: {}", run.name, status.reason),
        RunState::Failed => format!("{}: failed: {}", run.name, status.reason),
        RunState::NotStarted | RunState::Stopped => format!("{}: stopped", run.name),
    }
}

/// Where a run is: its loss and pace, or what else it is doing.
fn activity(progress: &Progress) -> String {
    let mut words = match progress.phase {
        Phase::Training => String::new(),
        Phase::Evaluating => "evaluating, ".to_owned(),
        Phase::Sampling => "sampling, ".to_owned(),
    };
    if let Some(loss) = progress.loss {
        words += &format!("loss {loss:.3}, ");
    }
    words + &format!("{} tokens/s", units::rate(progress.tokens_per_second))
}
