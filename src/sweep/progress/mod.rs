//! The progress of a sweep: bars on a terminal, plain lines elsewhere.

mod bars;
mod plain_lines;

use crate::results::{PlannedRun, RunState, RunStatus};
use crate::text::escape::visible_line;
use crate::text::units;
use crate::text::width::display_width;
use crate::train::{Phase, Progress};
use std::io::IsTerminal;

use bars::Bars;
pub(super) use plain_lines::Lines;

/// How far a sweep is.
#[derive(Debug, Clone, Copy)]
pub(super) struct SweepProgress {
    pub(super) ended: usize,
    /// Runs in all.
    pub(super) total: usize,
    pub(super) seconds_left: f64,
}

/// Shows the progress of a sweep. Errors are ignored: a missing terminal must not stop a sweep.
pub(super) trait Display {
    /// Shows a line at once.
    fn notice(&mut self, text: &str);
    /// `saved_step` is that of the checkpoint from which the run continues.
    fn started(&mut self, run: usize, name: &str, steps: u64, saved_step: Option<u64>);
    fn advanced(&mut self, run: usize, progress: &Progress, seconds_left: Option<f64>);
    /// `text` describes how the run ended.
    fn ended(&mut self, run: usize, text: &str);
    fn sweep_progress(&mut self, progress: SweepProgress);
    /// Removes the progress bars.
    fn close(&mut self);
}

/// Bars if standard error is a terminal, else lines. `names` are the names of the runs.
pub(super) fn display<'a>(names: impl Iterator<Item = &'a str>) -> Box<dyn Display> {
    if std::io::stderr().is_terminal() {
        let width = names.map(|name| display_width(&visible_line(name))).max();
        Box::new(Bars::new(width.unwrap_or(0)))
    } else {
        Box::new(Lines::new(std::io::stderr()))
    }
}

/// One line that says how a run ended. A `status` of `None` means that it was interrupted.
pub fn describe_end(run: &PlannedRun, status: Option<&RunStatus>) -> String {
    let name = visible_line(&run.name);
    let Some(status) = status else {
        return describe_stop(run);
    };
    let reason = visible_line(&status.reason);
    let outcome = status.outcome.as_ref();
    match status.state {
        RunState::Done => {
            let mut text = format!("{name}: done");
            if let Some(outcome) = outcome {
                if let Some(val_loss) = outcome.val_loss {
                    text += &format!(", validation loss {}", units::loss(val_loss));
                }
                text += &format!(", {}", units::duration(outcome.seconds));
            }
            text
        }
        RunState::Diverged => format!("{name}: diverged: {reason}"),
        RunState::Failed => format!("{name}: failed: {reason}"),
        RunState::NotStarted | RunState::Stopped => format!("{name}: stopped"),
    }
}

/// One line about a run that was interrupted.
pub(super) fn describe_stop(run: &PlannedRun) -> String {
    format!(
        "{}: stopped; the same command continues it",
        visible_line(&run.name)
    )
}

/// How a run begins: with its first step, or from a checkpoint.
fn describe_start(saved_step: Option<u64>) -> String {
    match saved_step {
        None => "started".to_owned(),
        Some(step) => format!("continues from step {step}"),
    }
}

/// What a run is doing, with its loss and speed.
fn describe_activity(progress: &Progress) -> String {
    let mut text = match progress.phase {
        Phase::Training => String::new(),
        Phase::Evaluating => "evaluating, ".to_owned(),
        Phase::Sampling => "sampling, ".to_owned(),
    };
    if let Some(loss) = progress.loss {
        text += &format!("loss {}, ", units::fixed(loss, 3));
    }
    text + &format!("{} tokens/s", units::rate(progress.tokens_per_second))
}
