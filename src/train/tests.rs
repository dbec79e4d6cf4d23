//! Tests of whole runs: the same bits with any number of threads and interruptions, and a falling
//! loss.

use super::testing::{Fixture, results_of, spec};
use super::{Trainer, saved_step, usable_step};
use crate::model::Matrices;
use crate::results::{Metric, RunDir, RunState, RunStatus};
use crate::spec::{
    BatchOrder, CheckpointInterval, Every, ModelKind, Optimizer, OptimizerKind, Precision, RunSpec,
    ScheduleKind,
};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

#[test]
fn the_number_of_threads_changes_no_bit() {
    let four_shards = spec();
    // One shard, whose matrix products the threads share.
    let mut one_shard = spec();
    one_shard.model.n_embd = 256;
    one_shard.train.batch_size = 8;
    one_shard.train.steps = 3;
    // Four shards that share the gradients of large weights, except on five threads.
    let mut large = spec();
    large.model.n_embd = 256;
    large.train.steps = 2;
    large.train.gradient_accumulation_steps = 2;
    for spec in [four_shards, one_shard, large] {
        let fixture = Fixture::new();
        let results = [1, 2, 3, 5].map(|threads| {
            let dir = fixture.dir(&format!("threads-{threads}"), &spec);
            assert_eq!(
                fixture.run(&dir, &spec, threads, u64::MAX).state,
                RunState::Done
            );
            results_of(&dir)
        });
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[test]
fn a_run_that_is_stopped_several_times_ends_with_the_same_bits() {
    for kind in OptimizerKind::ALL {
        let (fixture, mut spec) = (Fixture::new(), spec());
        spec.optimizer.kind = kind;
        let whole = fixture.dir("whole", &spec);
        let status = fixture.run(&whole, &spec, 1, u64::MAX);
        let pieces = fixture.dir("pieces", &spec);
        for stop_at in [3, 15, 29] {
            assert_eq!(
                fixture.run(&pieces, &spec, 2, stop_at).state,
                RunState::Stopped
            );
        }
        let resumed = fixture.run(&pieces, &spec, 1, u64::MAX);
        assert!(results_of(&whole) == results_of(&pieces));
        let (a, b) = (status.outcome.unwrap(), resumed.outcome.unwrap());
        assert_eq!(
            (a.val_loss, a.train_loss, a.tokens),
            (b.val_loss, b.train_loss, b.tokens)
        );
    }
}

#[test]
fn a_group_with_an_lr_scale_of_zero_keeps_its_weights() {
    let (fixture, mut spec) = (Fixture::new(), spec());
    spec.optimizer.groups.matrix.lr_scale = 0.0;
    let dir = fixture.dir("frozen", &spec);
    fixture.run(&dir, &spec, 1, u64::MAX);
    let bytes = fs::read(dir.weights()).unwrap();
    let weights = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let vocab_size = fixture.corpus.info.vocab_size;
    let fresh =
        Trainer::<crate::kernels::CpuBackend>::new(&Default::default(), &spec, vocab_size).unwrap();
    for parameter in fresh.model.parameters() {
        let before: Vec<u8> = parameter
            .value
            .as_vec()
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let stays = weights.tensor(&parameter.name).unwrap().data() == before;
        assert_eq!(
            stays,
            parameter.group == crate::model::ParamGroup::Matrix,
            "{}",
            parameter.name
        );
    }
}

#[test]
fn micro_batches_give_the_losses_of_one_large_batch() {
    let (fixture, mut spec) = (Fixture::new(), spec());
    let losses = |name: &str, spec: &RunSpec| -> Vec<f64> {
        let dir = fixture.dir(name, spec);
        let outcome = fixture.run(&dir, spec, 2, u64::MAX).outcome.unwrap();
        assert_eq!(outcome.tokens, 40 * 32 * 32);
        let metrics = dir.metrics(None).unwrap();
        let losses = metrics.iter().filter_map(|metric| match metric {
            Metric::Step(step) => Some(step.loss),
            Metric::Eval(_) => None,
        });
        losses.collect()
    };
    let whole = losses("whole", &spec);
    for (batch_size, accumulate) in [(8, 4), (1, 32)] {
        (
            spec.train.batch_size,
            spec.train.gradient_accumulation_steps,
        ) = (batch_size, accumulate);
        let parts = losses(&format!("parts-{accumulate}"), &spec);
        for (step, (a, b)) in whole.iter().zip(&parts).enumerate() {
            assert!((a - b).abs() < 1e-4 * a, "step {step}: {a} and {b}");
        }
    }
}

#[test]
fn the_moving_average_is_evaluated_and_survives_interruptions() {
    let (fixture, mut spec) = (Fixture::new(), spec());
    let losses = |dir: &RunDir| -> (Vec<f64>, Vec<f64>) {
        let (mut train, mut val) = (Vec::new(), Vec::new());
        for metric in dir.metrics(None).unwrap() {
            match metric {
                Metric::Step(step) => train.push(step.loss),
                Metric::Eval(eval) => val.push(eval.val_loss),
            }
        }
        (train, val)
    };
    let plain = fixture.dir("plain", &spec);
    fixture.run(&plain, &spec, 1, u64::MAX);
    spec.train.ema = Some(0.9);
    let whole = fixture.dir("whole", &spec);
    fixture.run(&whole, &spec, 1, u64::MAX);
    let pieces = fixture.dir("pieces", &spec);
    for stop_at in [3, 15, 29] {
        assert_eq!(
            fixture.run(&pieces, &spec, 2, stop_at).state,
            RunState::Stopped
        );
    }
    fixture.run(&pieces, &spec, 3, u64::MAX);
    assert!(results_of(&whole) == results_of(&pieces));
    let ((plain_train, plain_val), (train, val)) = (losses(&plain), losses(&whole));
    assert_eq!(plain_train, train, "training itself does not change");
    assert_eq!(
        plain_val[0], val[0],
        "before the first step the average is the weights"
    );
    assert!(plain_val[1..] != val[1..] && val[1] < val[0]);
}

#[test]
fn sequential_batches_continue_where_a_run_was_stopped() {
    let (fixture, mut spec) = (Fixture::new(), spec());
    spec.train.batches = BatchOrder::Sequential;
    spec.train.epochs = Some(1.5);
    spec.train.checkpoint_every = CheckpointInterval::Every(Every::Epochs(0.5));
    spec.count_steps(fixture.corpus.info.train_tokens, 1.0);
    let whole = fixture.dir("whole", &spec);
    let steps = fixture
        .run(&whole, &spec, 1, u64::MAX)
        .outcome
        .unwrap()
        .steps;
    // 18,000 tokens in sequences of 32, in batches of 32.
    assert!((24..=30).contains(&steps), "{steps}");
    let pieces = fixture.dir("pieces", &spec);
    for stop_at in [4, 21] {
        assert_eq!(
            fixture.run(&pieces, &spec, 2, stop_at).state,
            RunState::Stopped
        );
    }
    fixture.run(&pieces, &spec, 1, u64::MAX);
    assert!(results_of(&whole) == results_of(&pieces));
}

/// The number of steps depends on the machine, so only what holds on each is tested.
#[test]
fn a_run_of_a_fixed_time_uses_it_up_over_all_its_interruptions() {
    let (fixture, mut spec) = (Fixture::new(), spec());
    spec.train.seconds = Some(1.0);
    spec.train.checkpoint_every = CheckpointInterval::Every(Every::Steps(1));
    spec.optimizer.schedule.kind = ScheduleKind::Linear;
    let dir = fixture.dir("timed", &spec);
    assert_eq!(fixture.run(&dir, &spec, 1, 2).state, RunState::Stopped);
    let status = fixture.run(&dir, &spec, 1, u64::MAX);
    assert_eq!(status.state, RunState::Done);
    let steps = status.outcome.unwrap().steps;
    assert!(steps > 2, "{steps}");
    let metrics = dir.metrics(None).unwrap();
    let mut evaluations = metrics.iter().filter_map(|metric| match metric {
        Metric::Eval(evaluation) => Some((evaluation.step, evaluation.seconds)),
        Metric::Step(_) => None,
    });
    let (last, seconds) = evaluations.next_back().unwrap();
    assert_eq!(last, steps);
    // It ends with the step in which the time is used up.
    assert!(seconds >= 1.0, "{seconds}");
    let rates = metrics.iter().filter_map(|metric| match metric {
        Metric::Step(step) => Some(step.lr),
        Metric::Eval(_) => None,
    });
    let rates: Vec<f64> = rates.collect();
    assert_eq!(rates.len() as u64, steps, "a short run logs all steps");
    assert_eq!(rates[0], spec.optimizer.lr);
    assert!(rates[rates.len() - 1] < 0.5 * rates[0], "{rates:?}");
    // With the time used up, a resumed run takes no further step.
    assert_eq!(
        fixture.run(&dir, &spec, 1, u64::MAX).outcome.unwrap().steps,
        steps
    );
}

#[test]
fn the_loss_starts_at_that_of_a_uniform_guess_and_falls() {
    let (fixture, spec) = (Fixture::new(), spec());
    let dir = fixture.dir("run", &spec);
    let outcome = fixture.run(&dir, &spec, 1, u64::MAX).outcome.unwrap();
    let first = dir
        .metrics(None)
        .unwrap()
        .into_iter()
        .find_map(|metric| match metric {
            Metric::Eval(eval) => Some(eval),
            Metric::Step(_) => None,
        });
    let uniform_loss = (fixture.corpus.info.vocab_size as f64).ln();
    assert!((first.unwrap().val_loss - uniform_loss).abs() < 0.05);
    assert!(outcome.val_loss.unwrap() < uniform_loss - 0.5);
    assert_eq!(outcome.tokens, 40 * 32 * 32);
}

#[test]
fn a_diverged_run_names_the_first_tensor_that_is_not_finite() {
    let (fixture, mut spec) = (Fixture::new(), spec());
    spec.optimizer = Optimizer {
        kind: OptimizerKind::Sgd,
        lr: 1000.0,
        momentum: 0.99,
        grad_clip: 0.0,
        ..Optimizer::default()
    };
    let status = fixture.run(&fixture.dir("run", &spec), &spec, 1, u64::MAX);
    assert_eq!(status.state, RunState::Diverged);
    let (what, first) = status.reason.split_once("; first ").unwrap();
    assert!(what.contains("is not finite at step"), "{what}");
    assert!(
        first.contains(" in the ") && first.ends_with('`'),
        "{first}"
    );

    // With checks of every step, the run ends before the loss is affected.
    spec.train.detect_anomaly = true;
    let checked = fixture.run(&fixture.dir("checked", &spec), &spec, 1, u64::MAX);
    assert_eq!(checked.state, RunState::Diverged);
    let steps = |status: &RunStatus| status.outcome.as_ref().unwrap().steps;
    assert!(steps(&checked) <= steps(&status));
}

#[test]
fn checking_for_nan_changes_no_bit() {
    for precision in [Precision::F32, Precision::Bf16] {
        let (fixture, mut spec) = (Fixture::new(), spec());
        spec.train.steps = 5;
        spec.train.ema = Some(0.9);
        spec.train.precision = precision;
        let plain = fixture.dir("plain", &spec);
        fixture.run(&plain, &spec, 1, u64::MAX);
        spec.train.detect_anomaly = true;
        let checked = fixture.dir("checked", &spec);
        fixture.run(&checked, &spec, 2, u64::MAX);
        assert!(results_of(&plain) == results_of(&checked));
    }
}

#[test]
fn checkpoints_of_another_version_are_errors() {
    let (fixture, spec) = (Fixture::new(), spec());
    let dir = fixture.dir("run", &spec);
    fixture.run(&dir, &spec, 1, 10);
    let path = dir.checkpoint().join("state.safetensors");
    change_format(&path, "runner-checkpoint-0");
    let changed = fs::read(&path).unwrap();
    let error = fixture.try_run(&dir, &spec, 1, u64::MAX).unwrap_err();
    assert_names(&error.to_string(), &path, "runner-checkpoint-0");
    assert!(fs::read(&path).unwrap() == changed, "the file is unchanged");
}

#[test]
fn checkpoint_of_another_run_is_not_used() {
    let (fixture, spec) = (Fixture::new(), spec());
    let whole = fixture.dir("whole", &spec);
    fixture.run(&whole, &spec, 1, u64::MAX);
    let mut other = spec.clone();
    other.optimizer.lr = 2e-2;
    let dir = fixture.dir("run", &other);
    fixture.run(&dir, &other, 1, 10);
    dir.create(&spec).unwrap();
    let (_, notices) = fixture.try_run(&dir, &spec, 1, u64::MAX).unwrap();
    let expected = "it is of another run; it starts from the beginning";
    assert!(notices[0].ends_with(expected), "{notices:?}");
    assert_eq!(notices.len(), 1);
    assert!(results_of(&whole) == results_of(&dir));
}

/// Writes a checkpoint again as earlier versions did: without digests, and each value as an entry.
fn change_format(path: &Path, format: &str) {
    let bytes = fs::read(path).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let entry = &header.metadata().as_ref().unwrap()["runner"];
    let (_, json) = entry.split_once(' ').unwrap();
    let mut metadata: HashMap<String, String> = serde_json::from_str(json).unwrap();
    metadata.retain(|key, _| !key.contains("sha256"));
    metadata.insert("format".to_owned(), format.to_owned());
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let changed = safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap();
    fs::write(path, changed).unwrap();
}

#[test]
fn checkpoints_of_earlier_versions_are_continued() {
    let (fixture, spec) = (Fixture::new(), spec());
    let whole = fixture.dir("whole", &spec);
    fixture.run(&whole, &spec, 1, u64::MAX);
    let dir = fixture.dir("run", &spec);
    fixture.run(&dir, &spec, 1, 10);
    let folder = dir.checkpoint();
    change_format(&folder.join("state.safetensors"), "runner-checkpoint-2");
    fs::remove_file(folder.join("state-previous.safetensors")).unwrap();
    assert_eq!(saved_step(&folder), Some(10));
    let (_, notices) = fixture.try_run(&dir, &spec, 1, u64::MAX).unwrap();
    assert!(notices.is_empty(), "{notices:?}");
    assert!(results_of(&whole) == results_of(&dir));
}

/// Whatever is damaged, the run says so and ends with the same bits.
#[test]
fn damaged_checkpoint_costs_only_the_steps_after_the_one_before() {
    let (fixture, spec) = (Fixture::new(), spec());
    let whole = fixture.dir("whole", &spec);
    fixture.run(&whole, &spec, 1, u64::MAX);
    let names = [
        "checkpoint/state.safetensors",
        "checkpoint/state-previous.safetensors",
        "metrics.jsonl",
        "samples.json",
    ];
    // What is damaged, and what the run says about its start. Without the records, no checkpoint can be used.
    for (number, (damaged, notice)) in [
        (vec![0], Some("it continues from step ")),
        (vec![1], None),
        (vec![0, 1], Some("it starts from the beginning")),
        (vec![2], Some("it starts from the beginning")),
        (vec![3], Some("it starts from the beginning")),
    ]
    .into_iter()
    .enumerate()
    {
        let dir = fixture.dir(&format!("run-{number}"), &spec);
        fixture.run(&dir, &spec, 1, 20);
        for &name in &damaged {
            let path = dir.path().join(names[name]);
            let mut bytes = fs::read(&path).unwrap();
            // In the header of a checkpoint, or in the middle of another file.
            let at = if name < 2 {
                100 + 7 * number
            } else {
                bytes.len() / 2
            };
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
        }
        let identity = spec.identity(&fixture.corpus.info.content_sha256());
        let from = usable_step(&dir, &identity);
        assert_eq!(usable_step(&dir, "other"), None);
        let (status, said) = fixture.try_run(&dir, &spec, 1, u64::MAX).unwrap();
        assert_eq!(said.len(), notice.iter().len(), "{damaged:?}: {said:?}");
        if let (Some(notice), [said]) = (notice, &said[..]) {
            assert!(
                said.starts_with("cannot continue from ") && said.contains(notice),
                "{said}"
            );
        }
        let begins = notice == Some("it starts from the beginning");
        assert_eq!(from.is_none(), begins, "{damaged:?}: {from:?}");
        assert_eq!(status.state, RunState::Done);
        assert!(results_of(&whole) == results_of(&dir), "{damaged:?}");
    }
}

/// Only its owner could read a file with the permissions of a temporary one.
#[test]
fn weights_have_the_permissions_of_other_files_and_leave_no_other_behind() {
    use std::os::unix::fs::PermissionsExt;
    let (fixture, spec) = (Fixture::new(), spec());
    let dir = fixture.dir("run", &spec);
    fixture.run(&dir, &spec, 1, u64::MAX);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    let checkpoint = dir.checkpoint().join("state.safetensors");
    for path in [&dir.weights(), &checkpoint] {
        assert_eq!(mode(path), mode(&dir.metrics_file()), "{}", path.display());
    }
    for folder in [dir.path(), &dir.checkpoint()] {
        let mut names = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert!(names.all(|name| !name.to_str().unwrap().starts_with('.')));
    }
    // Other programs read it.
    let bytes = fs::read(dir.weights()).unwrap();
    assert!(safetensors::SafeTensors::deserialize(&bytes).unwrap().len() > 5);
}

#[test]
fn every_damage_to_a_checkpoint_is_found() {
    let (fixture, mut spec) = (Fixture::new(), spec());
    spec.model.n_embd = 8;
    spec.model.n_layer = 1;
    let dir = fixture.dir("run", &spec);
    fixture.run(&dir, &spec, 1, 10);
    let path = dir.checkpoint().join("state.safetensors");
    let whole = fs::read(&path).unwrap();
    let formats = ["runner-checkpoint-3", "runner-checkpoint-2"];
    assert!(Matrices::read(&whole, &formats).is_ok());
    let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    // All of the header, and some of the numbers.
    for at in (0..8 + header).chain((8 + header..whole.len()).step_by(97)) {
        // Spaces at the end of the header mean nothing.
        if whole[at] == b' ' {
            continue;
        }
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(Matrices::read(&damaged, &formats).is_err(), "byte {at}");
    }
    for length in (0..whole.len()).step_by(101) {
        assert!(
            Matrices::read(&whole[..length], &formats).is_err(),
            "{length} bytes"
        );
    }
}

fn assert_names(error: &str, path: &Path, words: &str) {
    assert!(
        error.contains(&path.display().to_string()) && error.contains(words),
        "{error}"
    );
    assert!(error.contains("--restart"), "{error}");
}

#[test]
fn an_ngram_takes_no_steps_and_a_higher_order_has_a_lower_loss() {
    let (fixture, mut spec) = (Fixture::new(), spec());
    spec.model.kind = ModelKind::Ngram;
    spec.train.steps = 0;
    let losses = [1, 2, 3].map(|order| {
        spec.model.order = order;
        let dir = fixture.dir(&format!("order-{order}"), &spec);
        let status = fixture.run(&dir, &spec, 1, u64::MAX);
        assert_eq!(status.state, RunState::Done);
        // A run that is killed before its status is written is counted again. The evaluation is
        // in the metrics once.
        fixture.run(&dir, &spec, 1, u64::MAX);
        let outcome = status.outcome.unwrap();
        let metrics = dir.metrics(None).unwrap();
        assert!(
            matches!(&metrics[..], [Metric::Eval(eval)] if eval.step == 0
            && Some(eval.val_loss) == outcome.val_loss)
        );
        assert_eq!(
            (outcome.steps, outcome.tokens),
            (0, fixture.corpus.info.train_tokens)
        );
        assert!(outcome.params > 0);
        let texts = dir.read_samples(None).unwrap();
        assert!(
            texts.len() == spec.sample.num_samples
                && texts[0].text.chars().count() == spec.sample.tokens
        );
        outcome.val_loss.unwrap()
    });
    let bigram_baseline = fixture.corpus.info.bigram_count_loss.unwrap();
    assert!(losses[0] > losses[1] && losses[1] > losses[2], "{losses:?}");
    assert!(
        (losses[1] - bigram_baseline).abs() < 0.1,
        "two ways to smooth a bigram agree"
    );
}
