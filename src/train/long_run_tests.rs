//! Tests of how runs end: early, with their best weights, or as the beginning of a longer run.

use super::checkpoints::{Records, RunTotals, check_open_run, save_checkpoint};
use super::testing::{Fixture, results_of, spec};
use super::{Device, Job, ShorterRun, Trainer, Update, environment, run, why_not_extended};
use crate::kernels::CpuBackend;
use crate::results::{Environment, Evaluation, Metric, RunDir, RunState, RunStatus};
use crate::spec::{CheckpointInterval, EvaluatedWeights, Every, RunSpec, ScheduleKind};
use dfdx::prelude::Cpu;
use std::fs;
use std::sync::atomic::AtomicBool;

fn evaluations(dir: &RunDir) -> Vec<Evaluation> {
    dir.evaluations(None).unwrap()
}

/// A run whose loss rises again: its learning rate is too large from the start.
fn rising_spec() -> RunSpec {
    let mut spec = spec();
    spec.optimizer.lr = 0.3;
    spec.train.steps = 60;
    spec.train.eval_every = Every::Steps(3);
    spec
}

#[test]
fn run_stops_when_its_loss_does_not_fall_any_more() {
    let (fixture, mut spec) = (Fixture::new(), rising_spec());
    let whole = fixture.dir("whole", &spec);
    fixture.run(&whole, &spec, 1, u64::MAX);
    let losses: Vec<f64> = evaluations(&whole).iter().map(|e| e.val_loss).collect();

    spec.train.early_stop.patience = Some(2);
    let stopped = fixture.dir("stopped", &spec);
    let status = fixture.run(&stopped, &spec, 1, u64::MAX);
    let found: Vec<f64> = evaluations(&stopped).iter().map(|e| e.val_loss).collect();
    assert_eq!(status.state, RunState::Done);
    assert!(found.len() < losses.len(), "{losses:?}");
    assert_eq!(
        found,
        losses[..found.len()],
        "the steps before are the same"
    );
    let best = found.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(
        found.iter().position(|&loss| loss == best),
        Some(found.len() - 3)
    );
    assert_eq!(status.outcome.unwrap().steps, 3 * (found.len() as u64 - 1));

    // Interruptions change nothing.
    let pieces = fixture.dir("pieces", &spec);
    for stop_at in [2, 5] {
        fixture.run(&pieces, &spec, 2, stop_at);
    }
    fixture.run(&pieces, &spec, 1, u64::MAX);
    assert!(results_of(&stopped) == results_of(&pieces));
}

#[test]
fn result_is_that_of_the_best_weights() {
    let (fixture, mut spec) = (Fixture::new(), rising_spec());
    spec.train.evaluate = Some(EvaluatedWeights::Best);
    spec.train.save_every = Some(Every::Steps(3));
    let dir = fixture.dir("best", &spec);
    let outcome = fixture.run(&dir, &spec, 1, u64::MAX).outcome.unwrap();
    let all = evaluations(&dir);
    let best = all
        .iter()
        .min_by(|a, b| a.val_loss.total_cmp(&b.val_loss))
        .unwrap();
    assert!(best.step > 0 && best.step < 60, "{}", best.step);
    assert_eq!(outcome.evaluated_step, Some(best.step));
    assert_eq!(outcome.val_loss, Some(best.val_loss));
    assert_eq!(outcome.steps, 60);
    let saved = fs::read(dir.weights_at(best.step)).unwrap();
    assert!(saved == fs::read(dir.weights()).unwrap());

    // Also when the run is interrupted after its best evaluation. The weights of a step that are damaged or those of
    // another evaluation are not used.
    spec.train.checkpoint_every = CheckpointInterval::Every(Every::Steps(1));
    let pieces = fixture.dir("pieces", &spec);
    for stop_at in [best.step + 1, best.step + 5] {
        fixture.run(&pieces, &spec, 2, stop_at);
    }
    let saved = pieces.best_weights(best.step);
    for damage in [b"damaged".to_vec(), fs::read(dir.weights()).unwrap()] {
        fs::write(&saved, damage).unwrap();
        let (_, notices) = fixture.try_run(&pieces, &spec, 1, best.step + 5).unwrap();
        assert!(!notices.is_empty());
    }
    fixture.run(&pieces, &spec, 1, u64::MAX);
    assert!(results_of(&dir) == results_of(&pieces));
}

#[test]
fn average_is_kept_but_not_evaluated_with_the_last_weights() {
    let (fixture, plain) = (Fixture::new(), spec());
    let results = [None, Some(EvaluatedWeights::Last)].map(|evaluate| {
        let mut spec = plain.clone();
        spec.train.ema = evaluate.map(|_| 0.9);
        spec.train.evaluate = evaluate;
        let dir = fixture.dir(&format!("{evaluate:?}"), &spec);
        fixture.run(&dir, &spec, 1, u64::MAX);
        results_of(&dir)
    });
    assert!(results[0] == results[1]);
}

/// A run whose length is a time may not take as many steps after an interruption.
#[test]
fn weights_of_steps_after_the_checkpoint_are_removed() {
    let (fixture, mut spec) = (Fixture::new(), spec());
    spec.train.save_every = Some(Every::Steps(2));
    let dir = fixture.dir("run", &spec);
    fixture.run(&dir, &spec, 1, 4);
    let before = dir.saved_steps().unwrap();
    assert!(before.starts_with(&[2, 4]), "{before:?}");
    // Weights that the run does not save again.
    fs::copy(dir.weights_at(4), dir.weights_at(39)).unwrap();
    fixture.run(&dir, &spec, 1, u64::MAX);
    let all: Vec<u64> = (1..=20).map(|half| 2 * half).collect();
    assert_eq!(dir.saved_steps().unwrap(), all);
}

#[test]
fn files_of_a_run_that_has_not_ended_are_verified() {
    let (fixture, mut spec) = (Fixture::new(), spec());
    spec.train.evaluate = Some(EvaluatedWeights::Best);
    let dir = fixture.dir("run", &spec);
    let status = fixture.run(&dir, &spec, 1, 16);
    assert!(status.environment.is_some());
    assert_eq!(status.earlier_environments, []);
    check_open_run(&dir).unwrap();
    let files = [
        dir.all_best_weights().unwrap().swap_remove(0),
        dir.metrics_file(),
        dir.samples(),
        dir.checkpoint().join("state.safetensors"),
        dir.checkpoint().join("state-previous.safetensors"),
    ];
    for path in files {
        let contents = fs::read(&path).unwrap();
        let mut damaged = contents.clone();
        damaged[contents.len() / 2] ^= 1;
        fs::write(&path, damaged).unwrap();
        let error = check_open_run(&dir).unwrap_err();
        assert!(error.is_damage(), "{}: {error}", path.display());
        fs::write(&path, contents).unwrap();
    }
    check_open_run(&dir).unwrap();
}

/// As if another version had trained the first part.
#[test]
fn all_environments_of_an_interrupted_run_are_recorded() {
    let (fixture, spec) = (Fixture::new(), spec());
    let dir = fixture.dir("run", &spec);
    let other = Environment {
        version: "0.0.1".to_owned(),
        ..environment()
    };
    let records = Records {
        environments: vec![other.clone()],
        ..Records::default()
    };
    let info = &fixture.corpus.info;
    let identity = spec.identity(&info.content_sha256());
    let trainer = Trainer::<CpuBackend>::new(&Cpu::default(), &spec, info.vocab_size);
    let totals = RunTotals::default();
    save_checkpoint(&mut trainer.unwrap(), totals, &records, &identity, &dir).unwrap();
    let status = fixture.run(&dir, &spec, 1, u64::MAX);
    assert_eq!(status.environment, Some(environment()));
    assert_eq!(status.earlier_environments, [other]);
}

fn constant_spec(steps: u64) -> RunSpec {
    let mut spec = spec();
    spec.optimizer.schedule.kind = ScheduleKind::Constant;
    spec.train.steps = steps;
    spec
}

fn run_extending(
    fixture: &Fixture,
    dir: &RunDir,
    spec: &RunSpec,
    shorter: ShorterRun,
) -> Vec<String> {
    let job = Job {
        spec,
        corpus: &fixture.corpus,
        dir,
        device: Device::Cpu,
        threads: 1,
        extends: Some(shorter),
        stop: &AtomicBool::new(false),
    };
    let mut notices = Vec::new();
    let status: RunStatus = run(job, &mut |update| {
        if let Update::Notice(text) = update {
            notices.push(text);
        }
    })
    .unwrap();
    assert_eq!(status.state, RunState::Done);
    notices
}

/// Steps 10, 20 and so on have samples, and steps 15, 30 and so on have evaluations. The shorter run has both at
/// its end, which is neither.
#[test]
fn extended_run_is_that_of_a_run_with_more_steps_from_the_start() {
    let fixture = Fixture::new();
    let (short, long) = (constant_spec(32), constant_spec(47));
    let whole = fixture.dir("whole", &long);
    fixture.run(&whole, &long, 1, u64::MAX);
    let shorter_dir = fixture.dir("short", &short);
    let status = fixture.run(&shorter_dir, &short, 1, u64::MAX);
    shorter_dir.write_record(&status, "").unwrap();
    let shorter = ShorterRun {
        name: "short".to_owned(),
        spec: short.clone(),
        dir: shorter_dir.clone(),
    };
    assert!(shorter.is_beginning_of(&long));
    assert_eq!(why_not_extended(&short, &long), None);
    let extended = fixture.dir("extended", &long);
    let notices = run_extending(&fixture, &extended, &long, shorter.clone());
    assert_eq!(notices, ["continues the run short from step 28"]);
    assert!(results_of(&whole) == results_of(&extended));

    // It can be interrupted as any other run.
    let pieces = fixture.dir("pieces", &long);
    let job = |stop: &AtomicBool| {
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let job = Job {
            spec: &long,
            corpus: &fixture.corpus,
            dir: &pieces,
            device: Device::Cpu,
            threads: 1,
            extends: Some(shorter.clone()),
            stop,
        };
        run(job, &mut |_| {}).unwrap()
    };
    assert_eq!(job(&AtomicBool::new(false)).state, RunState::Stopped);
    let (_, notices) = fixture.try_run(&pieces, &long, 1, u64::MAX).unwrap();
    assert!(notices.is_empty(), "{notices:?}");
    assert!(results_of(&whole) == results_of(&pieces));

    let mut other = long.clone();
    other.optimizer.lr *= 2.0;
    assert!(!shorter.is_beginning_of(&other));
    assert!(!shorter.is_beginning_of(&short));
    let mut cosine = long;
    cosine.optimizer.schedule.kind = ScheduleKind::Cosine;
    let why = why_not_extended(&short, &cosine).unwrap();
    assert!(
        why.contains("schedule depends on the number of steps"),
        "{why}"
    );
    // 2001 steps log every second one, of which a run of 6000 steps, which logs every third, needs all.
    let reason = why_not_extended(&constant_spec(2001), &constant_spec(6000));
    assert_eq!(
        reason,
        Some("it did not log the steps that the longer run logs")
    );
    let metrics = extended.metrics(None).unwrap();
    assert!(matches!(metrics.last(), Some(Metric::Eval(eval)) if eval.step == 47));
}
