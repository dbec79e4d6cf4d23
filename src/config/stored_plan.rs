//! Validation of a plan that was stored, and may have been changed since.

use super::stored_run::{check_experiment, check_run};
use crate::results::{EarlierDesign, SealError, Sealed, SweepPlan};
use crate::spec::RunSpec;

/// Reads the contents of a `plan.json`, and checks its values as those of an experiment file are checked.
///
/// # Errors
/// As [`SweepPlan::from_json`], and if a value is out of range.
pub fn read_plan(json: &[u8]) -> Result<Sealed<SweepPlan>, SealError> {
    let plan = SweepPlan::from_json(json)?;
    check(&plan.value).map_err(SealError::Invalid)?;
    Ok(plan)
}

fn check(plan: &SweepPlan) -> Result<(), String> {
    check_experiment(&plan.experiment).map_err(|why| format!("its experiment has an {why}"))?;
    if !plan.earlier.iter().all(EarlierDesign::is_within_limits) {
        return Err("an earlier plan has an invalid number of seeds".to_owned());
    }
    let mut valid: Option<RunSpec> = None;
    for run in &plan.runs {
        // Most runs differ from the one before only in the seed, of which every value is valid.
        let spec = RunSpec {
            seed: 0,
            ..run.spec.clone()
        };
        if valid.as_ref() != Some(&spec) {
            check_run(&spec).map_err(|why| format!("run {} has an {why}", run.name))?;
            valid = Some(spec);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::PlannedRun;
    use crate::results::testing::plan_of;
    use crate::spec::{Seeds, SequentialSeeds, Until};

    /// The first two would take all memory or would not end.
    #[test]
    fn a_plan_with_an_invalid_experiment_is_rejected() {
        let sweep = |plan: &mut SweepPlan, seeds| {
            plan.experiment.sweep.get_or_insert_default().seeds = seeds;
        };
        let sequential = |max| {
            Seeds::Sequential(SequentialSeeds {
                min: 2,
                max,
                until: Until::Decided,
            })
        };
        let plan =
            plan_of("name: x\nsweep: {seeds: [1, 2], variants: {a: {}, b: {model: {n_layer: 2}}}}");
        let read = |plan: &SweepPlan| read_plan(&serde_json::to_vec(plan).unwrap());
        let mut changed = Vec::new();
        for seeds in [Seeds::Count(99_999_999_999), sequential(100_000)] {
            let mut plan = plan.clone();
            sweep(&mut plan, seeds.clone());
            changed.push((plan, "its experiment has an invalid configuration"));
        }
        let mut earlier = plan.clone();
        let mut before = plan.clone();
        before.baseline = "b".to_owned();
        earlier.continue_from(&before, true);
        earlier.earlier[0].seeds = Seeds::Count(99_999_999_999);
        changed.push((earlier, "an earlier plan has an invalid number of seeds"));
        for (plan, expected) in changed {
            let error = read(&plan).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    /// The first of these would divide by zero in a report.
    #[test]
    fn a_plan_with_an_invalid_run_is_rejected() {
        type Change = fn(&mut PlannedRun);
        let changes: [(Change, &str); 3] = [
            (|run| run.spec.train.batch_size = 0, "`train.batch_size`"),
            (|run| run.spec.model.n_head = 3, "must be divisible by"),
            (
                |run| run.corpus = 1,
                "refers to a corpus that is not listed",
            ),
        ];
        let plan =
            plan_of("name: x\nsweep: {seeds: [1, 2], variants: {a: {}, b: {model: {n_layer: 2}}}}");
        let read = |plan: &SweepPlan| read_plan(&serde_json::to_vec(plan).unwrap());
        assert_eq!(read(&plan).unwrap().value, plan);
        for (change, expected) in changes {
            let mut plan = plan.clone();
            change(&mut plan.runs[2]);
            let error = read(&plan).unwrap_err().to_string();
            let expected_start = format!("run {} ", plan.runs[2].name);
            assert!(error.starts_with(&expected_start), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }
}
