use crate::spec::{Optimizer, ScheduleKind};

/// Learning rate of a step in a run of `steps` steps. `step` counts from 0.
pub(super) fn learning_rate(optimizer: &Optimizer, step: u64, steps: u64) -> f64 {
    let schedule = &optimizer.schedule;
    let warmup = schedule.warmup_steps;
    if step < warmup {
        return optimizer.lr * (step + 1) as f64 / (warmup + 1) as f64;
    }
    let last = steps.saturating_sub(1);
    // Rises linearly from 0 at step `from` to 1 at the last step.
    let progress = |from: u64| {
        let length = last.saturating_sub(from).max(1);
        (step.saturating_sub(from) as f64 / length as f64).min(1.0)
    };
    // 0 gives `min_lr`, 1 gives `lr`.
    let interpolate = |t: f64| schedule.min_lr + t * (optimizer.lr - schedule.min_lr);
    match schedule.kind {
        ScheduleKind::Constant => optimizer.lr,
        ScheduleKind::Linear => interpolate(1.0 - progress(warmup)),
        ScheduleKind::Cosine => {
            interpolate(0.5 * (1.0 + libm::cos(std::f64::consts::PI * progress(warmup))))
        }
        ScheduleKind::Wsd => match schedule.decay_steps(steps) {
            0 => optimizer.lr,
            // The decay starts from the last step at `lr`.
            decay => interpolate(1.0 - progress(last.saturating_sub(decay).max(warmup))),
        },
        ScheduleKind::InverseSqrt => {
            optimizer.lr * ((warmup + 1) as f64 / (step + 1) as f64).sqrt()
        }
    }
}

/// The expected number of steps of a run that has taken `step` steps in the share `used` of its time.
/// `None` before the first step.
///
/// A run whose length is a time gives this number to [`learning_rate`] before each step. The schedule
/// then follows the share of the time: after the warmup, its progress at a constant speed is that of a
/// run whose number of steps is known, and it never goes back.
pub(super) fn expected_steps(step: u64, used: f64) -> Option<u64> {
    let is_known = step > 0 && used > 0.0;
    is_known.then(|| (step as f64 / used.min(1.0)).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Schedule;
    use proptest::prelude::*;

    fn optimizer(kind: ScheduleKind, warmup_steps: u64) -> Optimizer {
        Optimizer {
            lr: 1.0,
            schedule: Schedule {
                kind,
                warmup_steps,
                min_lr: 0.1,
                decay_fraction: 0.2,
            },
            ..Optimizer::default()
        }
    }

    fn rates(optimizer: &Optimizer, steps: u64) -> Vec<f64> {
        (0..steps)
            .map(|step| learning_rate(optimizer, step, steps))
            .collect()
    }

    #[test]
    fn cosine_rises_linearly_and_falls_to_min_lr() {
        let rates = rates(&optimizer(ScheduleKind::Cosine, 4), 105);
        assert_eq!(rates[..5], [0.2, 0.4, 0.6, 0.8, 1.0]);
        assert!(
            (rates[54] - 0.55).abs() < 1e-9,
            "the middle between lr and min_lr"
        );
        assert!((rates[104] - 0.1).abs() < 1e-9);
        assert!(rates[4..].windows(2).all(|pair| pair[1] < pair[0]));
    }

    #[test]
    fn constant_stays_at_lr() {
        assert_eq!(rates(&optimizer(ScheduleKind::Constant, 0), 10), [1.0; 10]);
    }

    #[test]
    fn linear_is_half_way_between_lr_and_min_lr_in_the_middle() {
        let rates = rates(&optimizer(ScheduleKind::Linear, 4), 105);
        assert!((rates[54] - 0.55).abs() < 1e-9 && (rates[104] - 0.1).abs() < 1e-9);
        assert!((rates[29] - 0.775).abs() < 1e-9);
    }

    #[test]
    fn wsd_stays_at_lr_until_the_decay() {
        let rates = rates(&optimizer(ScheduleKind::Wsd, 4), 100);
        assert!(rates[4..80].iter().all(|&rate| rate == 1.0));
        assert!((rates[80] - 0.955).abs() < 1e-9, "a twentieth of the decay");
        assert!((rates[99] - 0.1).abs() < 1e-9);
    }

    #[test]
    fn inverse_sqrt_halves_when_the_step_number_quadruples() {
        let rates = rates(&optimizer(ScheduleKind::InverseSqrt, 9), 100);
        assert_eq!((rates[9], rates[39]), (1.0, 0.5));
        let without_warmup = super::tests::rates(&optimizer(ScheduleKind::InverseSqrt, 0), 5);
        assert_eq!((without_warmup[0], without_warmup[3]), (1.0, 0.5));
    }

    #[test]
    fn a_run_of_one_step_has_the_rate_lr() {
        for kind in ScheduleKind::ALL {
            assert_eq!(learning_rate(&optimizer(kind, 0), 0, 1), 1.0, "{kind:?}");
        }
    }

    #[test]
    fn schedule_of_a_timed_run_follows_the_share_of_the_time() {
        assert_eq!(expected_steps(0, 0.0), None);
        assert_eq!(expected_steps(100, 0.25), Some(400));
        assert_eq!(expected_steps(100, 1.5), Some(100));
        for kind in ScheduleKind::ALL {
            let optimizer = optimizer(kind, 20);
            let first = learning_rate(&optimizer, 0, u64::MAX);
            assert_eq!(first, learning_rate(&optimizer, 0, 1000), "{kind:?}");
            // At a constant speed, the rates are those of a run of 1000 steps.
            let timed = |step: u64| {
                let steps = expected_steps(step, step as f64 / 1000.0).unwrap();
                learning_rate(&optimizer, step, steps)
            };
            for step in 1..1000 {
                let planned = learning_rate(&optimizer, step, 1000);
                assert!((timed(step) - planned).abs() < 2e-3, "{kind:?} {step}");
            }
            // The second half of the steps is twice as fast. The rate does not rise after the warmup.
            let used = |step: u64| match step {
                ..500 => step as f64 / 750.0,
                _ => (step + 500) as f64 / 1500.0,
            };
            let uneven = (20..1000).map(|step| {
                learning_rate(&optimizer, step, expected_steps(step, used(step)).unwrap())
            });
            let rates: Vec<f64> = uneven.collect();
            assert!(
                rates.windows(2).all(|pair| pair[1] <= pair[0] + 1e-3),
                "{kind:?}"
            );
            if kind.falls_to_min_lr() {
                assert!((rates[rates.len() - 1] - 0.1).abs() < 0.01, "{kind:?}");
            }
        }
    }

    proptest! {
        /// The rate stays within bounds, rises and then falls without a jump, and starts and ends at
        /// the configured values.
        #[test]
        fn every_schedule_is_bounded_and_has_no_jumps(
            kind in proptest::sample::select(&ScheduleKind::ALL),
            steps in 20u64..2000,
            warmup_share in 0.0..0.7f64,
            decay_fraction in 0.0..0.3f64,
            min_lr in 0.0..1.0f64,
        ) {
            let warmup_steps = (steps as f64 * warmup_share) as u64;
            let schedule = Schedule { kind, warmup_steps, min_lr, decay_fraction };
            let optimizer = Optimizer { lr: 1.0, schedule, ..Optimizer::default() };
            let rates = rates(&optimizer, steps);
            let warmup = warmup_steps as usize;
            prop_assert!(rates.iter().all(|&rate| rate > 0.0 || min_lr == 0.0));
            prop_assert!(rates.iter().all(|&rate| rate <= 1.0));
            prop_assert!(rates[..=warmup].windows(2).all(|pair| pair[1] > pair[0]));
            prop_assert!(rates[warmup..].windows(2).all(|pair| pair[1] <= pair[0] + 1e-12));
            prop_assert_eq!(rates[warmup], 1.0);
            let decay_steps = optimizer.schedule.decay_steps(steps);
            let falls = match kind {
                ScheduleKind::Wsd => decay_steps > 0,
                kind => kind.falls_to_min_lr(),
            };
            if falls {
                prop_assert!((rates[rates.len() - 1] - min_lr).abs() < 1e-9);
                prop_assert!(rates.iter().skip(warmup).all(|&rate| rate >= min_lr - 1e-9));
            }
            // The largest change per step: that of a line, or of a cosine in its middle.
            let span = match kind {
                ScheduleKind::Wsd => decay_steps,
                _ => steps - 1 - warmup_steps,
            };
            let steepest = match kind {
                ScheduleKind::InverseSqrt => 0.3,
                _ => 1.6 / span.max(1) as f64,
            };
            let jump = rates[warmup..].windows(2).map(|pair| pair[0] - pair[1]).fold(0.0, f64::max);
            prop_assert!(jump <= steepest + 1e-12, "falls by {jump} in one step");
        }
    }
}
