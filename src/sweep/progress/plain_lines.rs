use super::{Observer, SweepProgress, describe_activity, describe_start};
use crate::results::RunStatus;
use crate::text::{escape, units};
use crate::train::Progress;
use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

/// Time between two lines about the progress of a run.
const LINE_INTERVAL: Duration = Duration::from_secs(60);

/// One line for each event, and one a minute for each active run.
#[derive(Debug)]
pub(crate) struct Lines<W> {
    out: W,
    runs: HashMap<usize, (String, Instant)>,
    sweep: Option<SweepProgress>,
}

impl<W: Write> Lines<W> {
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            runs: HashMap::new(),
            sweep: None,
        }
    }

    fn print_line(&mut self, text: &str) {
        // A log that cannot be written must not stop the sweep.
        let _ = writeln!(self.out, "{}", escape::visible(text));
    }
}

impl<W: Write> Observer for Lines<W> {
    fn notice(&mut self, text: &str) {
        self.print_line(text);
    }

    fn started(&mut self, run: usize, name: &str, _steps: u64, saved_step: Option<u64>) {
        let name = escape::visible_line(name);
        self.print_line(&format!("{name}: {}", describe_start(saved_step)));
        self.runs.insert(run, (name, Instant::now()));
    }

    fn advanced(&mut self, run: usize, progress: &Progress, seconds_left: Option<f64>) {
        let Some((name, last)) = self.runs.get_mut(&run) else {
            return;
        };
        if last.elapsed() < LINE_INTERVAL {
            return;
        }
        *last = Instant::now();
        let mut line = format!(
            "{name}: step {}/{}, {}",
            progress.step,
            progress.steps,
            describe_activity(progress)
        );
        if let Some(seconds) = seconds_left {
            line += &format!(", {} left", units::duration(seconds));
        }
        if let Some(sweep) = self.sweep {
            line += &format!("; all runs in {}", units::duration(sweep.seconds_left));
        }
        self.print_line(&line);
    }

    fn ended(&mut self, run: usize, text: &str, _status: Option<&RunStatus>) {
        self.runs.remove(&run);
        self.print_line(text);
    }

    fn sweep_progress(&mut self, progress: SweepProgress) {
        self.sweep = Some(progress);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Phase;

    #[test]
    fn log_has_one_line_per_event_and_none_per_step() {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out);
        lines.started(0, "gpt-s1-0a1b2c3d", 1000, None);
        lines.started(1, "gpt-s2-0a1b2c3d", 1000, Some(40));
        for step in 0..1000 {
            let progress = Progress {
                step,
                steps: 1000,
                loss: Some(2.5),
                val_loss: None,
                tokens_per_second: 1e4,
                phase: Phase::Training,
            };
            lines.advanced(0, &progress, Some(3.0));
        }
        lines.ended(0, "gpt-s1-0a1b2c3d: done", None);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "gpt-s1-0a1b2c3d: started\ngpt-s2-0a1b2c3d: continues from step 40\ngpt-s1-0a1b2c3d: done\n"
        );
    }
}
