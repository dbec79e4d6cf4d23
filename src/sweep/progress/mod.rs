//! The progress of a sweep: bars on a terminal, plain lines elsewhere, and events for programs.

mod bars;
mod events;
mod plain_lines;

use crate::results::{PlannedRun, RunState, RunStatus, SweepPlan};
use crate::text::escape::visible_line;
use crate::text::units;
use crate::text::width::display_width;
use crate::train::{Phase, Progress};
use std::io::IsTerminal;

use bars::Bars;
pub use events::{EventWriter, SweepEvent};
pub(super) use plain_lines::Lines;

/// How far a sweep is.
#[derive(Debug, Clone, Copy)]
pub struct SweepProgress {
    pub ended: usize,
    /// Runs in all.
    pub total: usize,
    pub seconds_left: f64,
}

/// Is told what happens in a sweep, such as to show it. Its errors are its own: a missing terminal must not stop a
/// sweep. Runs are given by their index in the plan.
pub trait Observer {
    /// Something that people should know at once.
    fn notice(&mut self, _text: &str) {}
    /// `saved_step` is that of the checkpoint from which the run continues.
    fn started(&mut self, _run: usize, _name: &str, _steps: u64, _saved_step: Option<u64>) {}
    fn advanced(&mut self, _run: usize, _progress: &Progress, _seconds_left: Option<f64>) {}
    /// `text` describes how the run ended. `status` is what was recorded of it, unless it was interrupted.
    fn ended(&mut self, _run: usize, _text: &str, _status: Option<&RunStatus>) {}
    fn sweep_progress(&mut self, _progress: SweepProgress) {}
    /// What the observer itself has to say to people since it was last asked.
    fn take_notice(&mut self) -> Option<String> {
        None
    }
    /// No run is active any more.
    fn close(&mut self) {}
}

/// Tells several observers the same, and each of them what another one has to say.
impl Observer for Vec<Box<dyn Observer + '_>> {
    fn notice(&mut self, text: &str) {
        self.iter_mut().for_each(|observer| observer.notice(text));
    }

    fn started(&mut self, run: usize, name: &str, steps: u64, saved_step: Option<u64>) {
        let observers = self.iter_mut();
        observers.for_each(|observer| observer.started(run, name, steps, saved_step));
    }

    fn advanced(&mut self, run: usize, progress: &Progress, seconds_left: Option<f64>) {
        let observers = self.iter_mut();
        observers.for_each(|observer| observer.advanced(run, progress, seconds_left));
    }

    fn ended(&mut self, run: usize, text: &str, status: Option<&RunStatus>) {
        let observers = self.iter_mut();
        observers.for_each(|observer| observer.ended(run, text, status));
    }

    fn sweep_progress(&mut self, progress: SweepProgress) {
        let observers = self.iter_mut();
        observers.for_each(|observer| observer.sweep_progress(progress));
        let notices = self
            .iter_mut()
            .filter_map(|observer| observer.take_notice());
        let notices: Vec<String> = notices.collect();
        notices.iter().for_each(|notice| self.notice(notice));
    }

    fn close(&mut self) {
        self.iter_mut().for_each(|observer| observer.close());
    }
}

/// Bars if standard error is a terminal, else lines. `selected` are the runs that may be trained.
pub fn display(plan: &SweepPlan, selected: &[usize]) -> Box<dyn Observer> {
    if std::io::stderr().is_terminal() {
        let names = selected.iter().map(|&run| plan.runs[run].title());
        let width = names.map(|name| display_width(&visible_line(&name))).max();
        Box::new(Bars::new(width.unwrap_or(0)))
    } else {
        Box::new(Lines::new(std::io::stderr()))
    }
}

/// One line that says how a run ended. A `status` of `None` means that it was interrupted.
pub fn describe_end(run: &PlannedRun, status: Option<&RunStatus>) -> String {
    let name = visible_line(&run.title());
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
        visible_line(&run.title())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Has something to say, once.
    struct Speaker(Option<String>);

    impl Observer for Speaker {
        fn take_notice(&mut self) -> Option<String> {
            self.0.take()
        }
    }

    #[test]
    fn what_an_observer_has_to_say_is_shown_by_the_others() {
        let mut out = Vec::new();
        {
            let speaker = Speaker(Some("the disk is full".to_owned()));
            let mut observers: Vec<Box<dyn Observer + '_>> =
                vec![Box::new(Lines::new(&mut out)), Box::new(speaker)];
            for ended in 0..3 {
                observers.sweep_progress(SweepProgress {
                    ended,
                    total: 3,
                    seconds_left: 1.0,
                });
            }
        }
        assert_eq!(String::from_utf8(out).unwrap(), "the disk is full\n");
    }
}
