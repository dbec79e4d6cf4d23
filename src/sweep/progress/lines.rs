use super::{Display, Overall, activity};
use crate::text::{escape, units};
use crate::train::Progress;
use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

/// How often the progress of a run is worth a line in a log.
const EVERY: Duration = Duration::from_secs(60);

/// A line an event, and one a minute for each running child.
#[derive(Debug)]
pub(crate) struct Lines<W> {
    out: W,
    runs: HashMap<usize, (String, Instant)>,
    overall: Option<Overall>,
}

impl<W: Write> Lines<W> {
    pub(crate) fn new(out: W) -> Self {
        Self {
            out,
            runs: HashMap::new(),
            overall: None,
        }
    }

    fn say(&mut self, text: &str) {
        // A log that cannot be written to is no reason to stop training.
        let _ = writeln!(self.out, "{}", escape::visible(text));
    }
}

impl<W: Write> Display for Lines<W> {
    fn notice(&mut self, text: &str) {
        self.say(text);
    }

    fn started(&mut self, run: usize, name: &str, _steps: u64, resumed: bool) {
        self.say(&format!(
            "{name}: {}",
            if resumed { "resumed" } else { "started" }
        ));
        self.runs.insert(run, (name.to_owned(), Instant::now()));
    }

    fn advanced(&mut self, run: usize, progress: &Progress, seconds: Option<f64>) {
        let Some((name, last)) = self.runs.get_mut(&run) else {
            return;
        };
        if last.elapsed() < EVERY {
            return;
        }
        *last = Instant::now();
        let mut line = format!(
            "{name}: step {}/{}, {}",
            progress.step,
            progress.steps,
            activity(progress)
        );
        if let Some(seconds) = seconds {
            line += &format!(", {} left", units::duration(seconds));
        }
        if let Some(overall) = self.overall {
            line += &format!("; all in {}", units::duration(overall.seconds));
        }
        self.say(&line);
    }

    fn ended(&mut self, run: usize, words: &str) {
        self.runs.remove(&run);
        self.say(words);
    }

    fn overall(&mut self, overall: Overall) {
        self.overall = Some(overall);
    }

    fn close(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Phase;

    #[test]
    fn a_log_has_a_line_an_event_and_none_a_step() {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out);
        lines.started(0, "gpt-s1-0a1b2c3d", 1000, false);
        lines.started(1, "gpt-s2-0a1b2c3d", 1000, true);
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
        lines.ended(0, "gpt-s1-0a1b2c3d: done");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "gpt-s1-0a1b2c3d: started\ngpt-s2-0a1b2c3d: resumed\ngpt-s1-0a1b2c3d: done\n"
        );
    }
}
