use crate::spec::{Optimizer, ScheduleKind};

/// Learning rate of the step after `step` steps, in a run of `steps`.
pub(super) fn learning_rate(optimizer: &Optimizer, step: u64, steps: u64) -> f64 {
    let schedule = &optimizer.schedule;
    let warmup = schedule.warmup_steps;
    if step < warmup {
        return optimizer.lr * (step + 1) as f64 / (warmup + 1) as f64;
    }
    match schedule.kind {
        ScheduleKind::Constant => optimizer.lr,
        ScheduleKind::Cosine => {
            let last = (steps - 1).max(warmup + 1) - warmup;
            let progress = ((step - warmup) as f64 / last as f64).min(1.0);
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
            schedule.min_lr + cosine * (optimizer.lr - schedule.min_lr)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Schedule;

    fn optimizer(kind: ScheduleKind, warmup_steps: u64) -> Optimizer {
        Optimizer {
            lr: 1.0,
            schedule: Schedule {
                kind,
                warmup_steps,
                min_lr: 0.1,
            },
            ..Optimizer::default()
        }
    }

    #[test]
    fn rises_in_a_line_and_falls_along_a_cosine_to_the_least() {
        let cosine = optimizer(ScheduleKind::Cosine, 4);
        let rates: Vec<f64> = (0..105)
            .map(|step| learning_rate(&cosine, step, 105))
            .collect();
        assert_eq!(rates[..5], [0.2, 0.4, 0.6, 0.8, 1.0]);
        assert!((rates[54] - 0.55).abs() < 1e-9, "half way is half way down");
        assert!((rates[104] - 0.1).abs() < 1e-9);
        assert!(rates[4..].windows(2).all(|pair| pair[1] < pair[0]));
    }

    #[test]
    fn constant_stays() {
        let constant = optimizer(ScheduleKind::Constant, 0);
        assert!((0..10).all(|step| learning_rate(&constant, step, 10) == 1.0));
    }

    #[test]
    fn a_run_of_one_step_has_a_rate() {
        assert_eq!(
            learning_rate(&optimizer(ScheduleKind::Cosine, 0), 0, 1),
            1.0
        );
    }
}
