use std::collections::BTreeMap;
use std::time::Instant;

/// Share of a run after which its own pace is a better guide than the estimate.
const TRUSTED_SHARE: f64 = 0.05;

/// When a sweep will end, from the estimates of its runs, corrected by the pace measured so far.
#[derive(Debug)]
pub(super) struct Forecast {
    jobs: usize,
    /// Estimated seconds of each run that has not started, in the order of work.
    queued: BTreeMap<usize, f64>,
    running: BTreeMap<usize, Course>,
    measured: f64,
    estimated: f64,
}

#[derive(Debug)]
struct Course {
    estimate: f64,
    /// When the first progress came, and the share done then (not 0 for a resumed run).
    start: Option<(Instant, f64)>,
    latest: Option<(Instant, f64)>,
}

impl Forecast {
    pub(super) fn new(jobs: usize, estimates: impl IntoIterator<Item = (usize, f64)>) -> Self {
        Self {
            jobs,
            queued: estimates.into_iter().collect(),
            running: BTreeMap::new(),
            measured: 0.0,
            estimated: 0.0,
        }
    }

    pub(super) fn started(&mut self, run: usize) {
        let estimate = self.queued.remove(&run).unwrap_or(0.0);
        let course = Course {
            estimate,
            start: None,
            latest: None,
        };
        self.running.insert(run, course);
    }

    pub(super) fn advanced(&mut self, run: usize, share: f64, now: Instant) {
        if let Some(course) = self.running.get_mut(&run) {
            course.start.get_or_insert((now, share));
            course.latest = Some((now, share));
        }
    }

    pub(super) fn ended(&mut self, run: usize) {
        if let Some(course) = self.running.remove(&run) {
            let (seconds, share) = course.covered();
            self.measured += seconds;
            self.estimated += share * course.estimate;
        }
    }

    /// Seconds until a running run ends.
    pub(super) fn run_seconds(&self, run: usize, now: Instant) -> Option<f64> {
        let course = self.running.get(&run)?;
        Some(course.remaining(self.pace(), now))
    }

    /// Seconds until all end.
    pub(super) fn seconds(&self, now: Instant) -> f64 {
        let pace = self.pace();
        let running: Vec<f64> = self
            .running
            .values()
            .map(|c| c.remaining(pace, now))
            .collect();
        let queued: Vec<f64> = self
            .queued
            .values()
            .map(|estimate| estimate * pace)
            .collect();
        makespan(&running, &queued, self.jobs)
    }

    /// Seconds measured for each second estimated.
    fn pace(&self) -> f64 {
        let (mut measured, mut estimated) = (self.measured, self.estimated);
        for course in self.running.values() {
            let (seconds, share) = course.covered();
            measured += seconds;
            estimated += share * course.estimate;
        }
        if measured > 0.0 && estimated > 0.0 {
            measured / estimated
        } else {
            1.0
        }
    }
}

impl Course {
    /// Seconds measured, and the share of the run that was done in them.
    fn covered(&self) -> (f64, f64) {
        match (self.start, self.latest) {
            (Some((start, from)), Some((end, to))) => ((end - start).as_secs_f64(), to - from),
            _ => (0.0, 0.0),
        }
    }

    fn remaining(&self, pace: f64, now: Instant) -> f64 {
        let Some((at, share)) = self.latest else {
            return self.estimate * pace;
        };
        let (seconds, covered) = self.covered();
        let whole = if covered >= TRUSTED_SHARE {
            seconds / covered
        } else {
            self.estimate * pace
        };
        let since = now.saturating_duration_since(at).as_secs_f64();
        ((1.0 - share) * whole - since).max(0.0)
    }
}

/// Seconds until all is done, when what is queued starts in order as soon as one of `jobs` is free.
pub fn makespan(running: &[f64], queued: &[f64], jobs: usize) -> f64 {
    let mut free_at = running.to_vec();
    free_at.resize(jobs.max(running.len()).max(1), 0.0);
    for seconds in queued {
        let first = free_at
            .iter_mut()
            .min_by(|a, b| a.total_cmp(b))
            .expect("there is at least one slot");
        *first += seconds;
    }
    free_at.into_iter().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn queued_runs_take_the_first_free_slot() {
        assert_eq!(makespan(&[], &[3.0, 3.0, 3.0], 2), 6.0);
        assert_eq!(makespan(&[10.0, 1.0], &[4.0, 4.0], 2), 10.0);
        assert_eq!(makespan(&[5.0], &[], 4), 5.0);
        assert_eq!(makespan(&[], &[], 2), 0.0);
    }

    #[test]
    fn a_measured_pace_corrects_the_estimates() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut forecast = Forecast::new(1, [(0, 10.0), (1, 10.0)]);
        forecast.started(0);
        assert_eq!(forecast.seconds(start), 20.0);
        forecast.advanced(0, 0.0, start);
        forecast.advanced(0, 0.5, at(10)); // twice as slow as estimated
        assert_eq!(forecast.run_seconds(0, at(10)), Some(10.0));
        assert_eq!(forecast.seconds(at(10)), 30.0);
        forecast.ended(0);
        assert_eq!(forecast.seconds(at(20)), 20.0);
    }

    #[test]
    fn a_resumed_run_is_not_taken_for_a_fast_one() {
        let start = Instant::now();
        let mut forecast = Forecast::new(1, [(0, 10.0)]);
        forecast.started(0);
        forecast.advanced(0, 0.8, start);
        forecast.advanced(0, 0.9, start + Duration::from_secs(1));
        let left = forecast.seconds(start + Duration::from_secs(1));
        assert!((left - 1.0).abs() < 1e-9, "{left}");
    }
}
