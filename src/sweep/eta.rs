use std::collections::BTreeMap;
use std::time::Instant;

/// Share of a run after which its own speed predicts better than the estimate.
const TRUSTED_SHARE: f64 = 0.05;

/// Predicts when a sweep ends, from the estimates of its runs and the speed measured so far.
#[derive(Debug)]
pub(super) struct EtaEstimator {
    jobs: usize,
    /// The runs that have not started, in the order of work.
    queued: BTreeMap<usize, Queued>,
    running: BTreeMap<usize, RunProgress>,
    /// Seconds that ended runs took.
    measured: f64,
    /// Seconds that were estimated for the same work.
    estimated: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Queued {
    /// Estimated seconds of the whole run.
    estimate: f64,
    /// The share of it that was trained before.
    trained: f64,
}

#[derive(Debug)]
struct RunProgress {
    /// Estimated seconds of the whole run.
    estimate: f64,
    /// The share of it that was trained before it started.
    trained: f64,
    /// When the first progress came, and the share done then (not 0 for a resumed run).
    start: Option<(Instant, f64)>,
    latest: Option<(Instant, f64)>,
}

impl EtaEstimator {
    pub(super) fn new(jobs: usize) -> Self {
        Self {
            jobs,
            queued: BTreeMap::new(),
            running: BTreeMap::new(),
            measured: 0.0,
            estimated: 0.0,
        }
    }

    /// Changes the number of runs that are trained at the same time.
    pub(super) fn set_jobs(&mut self, jobs: usize) {
        self.jobs = jobs;
    }

    /// Adds a run to those that have not started, or changes the estimate of the whole run.
    pub(super) fn queued(&mut self, run: usize, seconds: f64) {
        self.queued.entry(run).or_default().estimate = seconds;
    }

    /// Sets the share of a queued run that was trained before.
    pub(super) fn trained(&mut self, run: usize, share: f64) {
        self.queued.entry(run).or_default().trained = share;
    }

    pub(super) fn started(&mut self, run: usize) {
        let Queued { estimate, trained } = self.queued.remove(&run).unwrap_or_default();
        let run_progress = RunProgress {
            estimate,
            trained,
            start: None,
            latest: None,
        };
        self.running.insert(run, run_progress);
    }

    pub(super) fn advanced(&mut self, run: usize, share: f64, now: Instant) {
        if let Some(run_progress) = self.running.get_mut(&run) {
            run_progress.start.get_or_insert((now, share));
            run_progress.latest = Some((now, share));
        }
    }

    pub(super) fn ended(&mut self, run: usize) {
        if let Some(run_progress) = self.running.remove(&run) {
            let (seconds, share) = run_progress.covered();
            self.measured += seconds;
            self.estimated += share * run_progress.estimate;
        }
    }

    /// Seconds until an active run ends.
    pub(super) fn run_seconds_left(&self, run: usize, now: Instant) -> Option<f64> {
        let run_progress = self.running.get(&run)?;
        Some(run_progress.remaining(self.pace(), now))
    }

    /// Seconds until all runs have ended.
    pub(super) fn seconds_left(&self, now: Instant) -> f64 {
        let pace = self.pace();
        let running: Vec<f64> = self
            .running
            .values()
            .map(|c| c.remaining(pace, now))
            .collect();
        let queued: Vec<f64> = self
            .queued
            .values()
            .map(|run| run.estimate * (1.0 - run.trained) * pace)
            .collect();
        makespan(&running, &queued, self.jobs)
    }

    /// Measured seconds per estimated second.
    fn pace(&self) -> f64 {
        let (mut measured, mut estimated) = (self.measured, self.estimated);
        for run in self.running.values() {
            let (seconds, share) = run.covered();
            measured += seconds;
            estimated += share * run.estimate;
        }
        if measured > 0.0 && estimated > 0.0 {
            measured / estimated
        } else {
            1.0
        }
    }
}

impl RunProgress {
    /// Seconds since the first progress, and the share of the run that was done in them.
    fn covered(&self) -> (f64, f64) {
        match (self.start, self.latest) {
            (Some((start, from)), Some((end, to))) => ((end - start).as_secs_f64(), to - from),
            _ => (0.0, 0.0),
        }
    }

    fn remaining(&self, pace: f64, now: Instant) -> f64 {
        let Some((at, share)) = self.latest else {
            return self.estimate * (1.0 - self.trained) * pace;
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

/// Seconds until all runs have ended, if each queued run starts in order as soon as one of `jobs` slots
/// is free. `running` and `queued` are seconds left of each run.
pub(super) fn makespan(running: &[f64], queued: &[f64], jobs: usize) -> f64 {
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
    fn measured_speed_corrects_the_estimates() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut eta = EtaEstimator::new(1);
        eta.queued(0, 10.0);
        eta.queued(1, 10.0);
        eta.started(0);
        assert_eq!(eta.seconds_left(start), 20.0);
        eta.advanced(0, 0.0, start);
        eta.advanced(0, 0.5, at(10)); // twice as slow as estimated
        assert_eq!(eta.run_seconds_left(0, at(10)), Some(10.0));
        assert_eq!(eta.seconds_left(at(10)), 30.0);
        eta.ended(0);
        assert_eq!(eta.seconds_left(at(20)), 20.0);
    }

    #[test]
    fn resumed_run_does_not_count_as_fast() {
        let start = Instant::now();
        let mut eta = EtaEstimator::new(1);
        eta.queued(0, 10.0);
        eta.trained(0, 0.8);
        let is_two = |seconds: f64| (seconds - 2.0).abs() < 1e-9;
        assert!(is_two(eta.seconds_left(start)));
        eta.started(0);
        assert!(is_two(eta.seconds_left(start)));
        eta.advanced(0, 0.8, start);
        eta.advanced(0, 0.9, start + Duration::from_secs(1));
        let left = eta.seconds_left(start + Duration::from_secs(1));
        assert!((left - 1.0).abs() < 1e-9, "{left}");
    }
}
