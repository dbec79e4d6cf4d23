use super::{Observer, SweepProgress, describe_activity, describe_start};
use crate::results::RunStatus;
use crate::text::width::pad;
use crate::text::{escape, units};
use crate::train::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Steps of the bar of the whole sweep.
const SWEEP_BAR_STEPS: u64 = 1000;

/// A bar for each active run and one for the whole sweep.
#[derive(Debug)]
pub(crate) struct Bars {
    screen: MultiProgress,
    sweep: ProgressBar,
    runs: HashMap<usize, ProgressBar>,
    name_width: usize,
    start: Instant,
}

impl Bars {
    /// Names are padded to `name_width` columns, so that the bars are aligned.
    pub(crate) fn new(name_width: usize) -> Self {
        let screen = MultiProgress::new();
        let sweep = screen.add(ProgressBar::new(SWEEP_BAR_STEPS));
        sweep.set_style(style("{prefix} {bar:24.green/dim} {msg}"));
        sweep.enable_steady_tick(Duration::from_millis(500));
        Self {
            screen,
            sweep,
            runs: HashMap::new(),
            name_width,
            start: Instant::now(),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates in this file are valid")
        .progress_chars("━━─")
}

impl Observer for Bars {
    fn notice(&mut self, text: &str) {
        // A missing terminal must not stop the sweep.
        let _ = self.screen.println(escape::visible(text));
    }

    fn started(&mut self, run: usize, name: &str, steps: u64, saved_step: Option<u64>) {
        let bar = ProgressBar::new(steps);
        let bar = self.screen.insert_before(&self.sweep, bar);
        bar.set_style(style("{prefix} {bar:24.cyan/dim} {pos}/{len} {msg}"));
        bar.set_prefix(pad(&escape::visible_line(name), self.name_width));
        bar.set_message(describe_start(saved_step));
        self.runs.insert(run, bar);
    }

    fn advanced(&mut self, run: usize, progress: &Progress, seconds_left: Option<f64>) {
        if let Some(bar) = self.runs.get(&run) {
            // The number of steps changes if the length of training is a time.
            bar.set_length(progress.steps);
            bar.set_position(progress.step);
            let left =
                seconds_left.map_or(String::new(), |s| format!(", {} left", units::duration(s)));
            bar.set_message(describe_activity(progress) + &left);
        }
    }

    fn ended(&mut self, run: usize, text: &str, _status: Option<&RunStatus>) {
        if let Some(bar) = self.runs.remove(&run) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
        self.notice(text);
    }

    fn sweep_progress(&mut self, progress: SweepProgress) {
        let elapsed = self.start.elapsed().as_secs_f64();
        let share = elapsed / (elapsed + progress.seconds_left).max(f64::MIN_POSITIVE);
        self.sweep
            .set_position((share * SWEEP_BAR_STEPS as f64) as u64);
        let runs = format!("{}/{} runs", progress.ended, progress.total);
        self.sweep.set_prefix(pad(&runs, self.name_width));
        self.sweep
            .set_message(format!("{} left", units::duration(progress.seconds_left)));
    }

    fn close(&mut self) {
        for (_, bar) in self.runs.drain() {
            bar.finish_and_clear();
        }
        self.sweep.finish_and_clear();
    }
}
