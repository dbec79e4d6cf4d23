use super::{Display, Overall, activity};
use crate::text::{escape, units};
use crate::train::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Steps of the overall bar.
const FINE: u64 = 1000;

/// A bar for each running child and one for the whole.
#[derive(Debug)]
pub(crate) struct Bars {
    screen: MultiProgress,
    overall: ProgressBar,
    runs: HashMap<usize, ProgressBar>,
    names: usize,
    since: Instant,
}

impl Bars {
    /// `names` are padded to this width, so that the bars stand in a column.
    pub(crate) fn new(names: usize) -> Self {
        let screen = MultiProgress::new();
        let overall = screen.add(ProgressBar::new(FINE));
        overall.set_style(style("{prefix} {bar:24.green/dim} {msg}"));
        overall.enable_steady_tick(Duration::from_millis(500));
        Self {
            screen,
            overall,
            runs: HashMap::new(),
            names,
            since: Instant::now(),
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates in this file are well formed")
        .progress_chars("━━─")
}

impl Display for Bars {
    fn notice(&mut self, text: &str) {
        // A terminal that is gone shows nothing, and that is all.
        let _ = self.screen.println(escape::visible(text));
    }

    fn started(&mut self, run: usize, name: &str, steps: u64, resumed: bool) {
        let bar = ProgressBar::new(steps);
        let bar = self.screen.insert_before(&self.overall, bar);
        bar.set_style(style("{prefix} {bar:24.cyan/dim} {pos}/{len} {msg}"));
        bar.set_prefix(format!(
            "{:<width$}",
            escape::visible(name),
            width = self.names
        ));
        bar.set_message(if resumed { "resuming" } else { "starting" });
        self.runs.insert(run, bar);
    }

    fn advanced(&mut self, run: usize, progress: &Progress, seconds: Option<f64>) {
        if let Some(bar) = self.runs.get(&run) {
            bar.set_position(progress.step);
            let left = seconds.map_or(String::new(), |s| format!(", {} left", units::duration(s)));
            bar.set_message(activity(progress) + &left);
        }
    }

    fn ended(&mut self, run: usize, words: &str) {
        if let Some(bar) = self.runs.remove(&run) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
        self.notice(words);
    }

    fn overall(&mut self, overall: Overall) {
        let elapsed = self.since.elapsed().as_secs_f64();
        let share = elapsed / (elapsed + overall.seconds).max(f64::MIN_POSITIVE);
        self.overall.set_position((share * FINE as f64) as u64);
        let runs = format!("{}/{} runs", overall.ended, overall.runs);
        self.overall
            .set_prefix(format!("{runs:<width$}", width = self.names));
        self.overall
            .set_message(format!("{} left", units::duration(overall.seconds)));
    }

    fn close(&mut self) {
        for (_, bar) in self.runs.drain() {
            bar.finish_and_clear();
        }
        self.overall.finish_and_clear();
    }
}
