//! What a run promises: the same bits whatever the threads and the interruptions, and a loss that
//! falls.

use super::testing::{Lab, left, spec};
use super::*;
use crate::results::{Metric, RunState};
use crate::spec::{BatchOrder, Every, ModelKind, Optimizer, OptimizerKind};
use std::fs;
use std::path::Path;

#[test]
fn the_number_of_threads_changes_no_bit() {
    let four_shards = spec();
    // Of which threads share the products.
    let mut one_shard = spec();
    one_shard.model.n_embd = 256;
    one_shard.train.batch_size = 8;
    one_shard.train.steps = 3;
    for spec in [four_shards, one_shard] {
        let lab = Lab::new();
        let results = [1, 2, 3].map(|threads| {
            let dir = lab.dir(&format!("threads-{threads}"), &spec);
            assert_eq!(
                lab.run(&dir, &spec, threads, u64::MAX).state,
                RunState::Done
            );
            left(&dir)
        });
        assert!(results[0] == results[1] && results[1] == results[2]);
    }
}

#[test]
fn a_run_that_is_stopped_again_and_again_ends_with_the_same_bits() {
    for kind in OptimizerKind::ALL {
        let (lab, mut spec) = (Lab::new(), spec());
        spec.optimizer.kind = kind;
        let whole = lab.dir("whole", &spec);
        let status = lab.run(&whole, &spec, 1, u64::MAX);
        let pieces = lab.dir("pieces", &spec);
        for stop_at in [3, 15, 29] {
            assert_eq!(lab.run(&pieces, &spec, 2, stop_at).state, RunState::Stopped);
        }
        let resumed = lab.run(&pieces, &spec, 1, u64::MAX);
        assert!(left(&whole) == left(&pieces));
        let (a, b) = (status.outcome.unwrap(), resumed.outcome.unwrap());
        assert_eq!(
            (a.val_loss, a.train_loss, a.tokens),
            (b.val_loss, b.train_loss, b.tokens)
        );
    }
}

#[test]
fn a_group_whose_learning_rate_is_scaled_to_nothing_stays() {
    let (lab, mut spec) = (Lab::new(), spec());
    spec.optimizer.groups.matrix.lr_scale = 0.0;
    let dir = lab.dir("frozen", &spec);
    lab.run(&dir, &spec, 1, u64::MAX);
    let bytes = fs::read(dir.weights()).unwrap();
    let weights = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let vocab_size = lab.corpus.info.vocab_size;
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
            parameter.role == crate::model::ParamGroup::Matrix,
            "{}",
            parameter.name
        );
    }
}

#[test]
fn micro_batches_add_up_to_the_batch() {
    let (lab, mut spec) = (Lab::new(), spec());
    let losses = |name: &str, spec: &RunSpec| -> Vec<f64> {
        let dir = lab.dir(name, spec);
        let outcome = lab.run(&dir, spec, 2, u64::MAX).outcome.unwrap();
        assert_eq!(outcome.tokens, 40 * 32 * 32);
        let metrics = dir.metrics().unwrap();
        let losses = metrics.iter().filter_map(|metric| match metric {
            Metric::Step(step) => Some(step.loss),
            Metric::Eval(_) => None,
        });
        losses.collect()
    };
    let whole = losses("whole", &spec);
    for (batch_size, accumulate) in [(8, 4), (1, 32)] {
        (spec.train.batch_size, spec.train.accumulate) = (batch_size, accumulate);
        let parts = losses(&format!("parts-{accumulate}"), &spec);
        for (step, (a, b)) in whole.iter().zip(&parts).enumerate() {
            assert!((a - b).abs() < 1e-4 * a, "step {step}: {a} and {b}");
        }
    }
}

#[test]
fn an_average_of_the_weights_is_what_is_evaluated_and_resumed() {
    let (lab, mut spec) = (Lab::new(), spec());
    let losses = |dir: &RunDir| -> (Vec<f64>, Vec<f64>) {
        let (mut train, mut val) = (Vec::new(), Vec::new());
        for metric in dir.metrics().unwrap() {
            match metric {
                Metric::Step(step) => train.push(step.loss),
                Metric::Eval(eval) => val.push(eval.val_loss),
            }
        }
        (train, val)
    };
    let plain = lab.dir("plain", &spec);
    lab.run(&plain, &spec, 1, u64::MAX);
    spec.train.ema = Some(0.9);
    let whole = lab.dir("whole", &spec);
    lab.run(&whole, &spec, 1, u64::MAX);
    let pieces = lab.dir("pieces", &spec);
    for stop_at in [3, 15, 29] {
        assert_eq!(lab.run(&pieces, &spec, 2, stop_at).state, RunState::Stopped);
    }
    lab.run(&pieces, &spec, 3, u64::MAX);
    assert!(left(&whole) == left(&pieces));
    let ((plain_train, plain_val), (train, val)) = (losses(&plain), losses(&whole));
    assert_eq!(plain_train, train, "what is trained is the same");
    assert_eq!(
        plain_val[0], val[0],
        "before the first step there is nothing to average"
    );
    assert!(plain_val[1..] != val[1..] && val[1] < val[0]);
}

#[test]
fn sequences_in_turn_go_on_where_a_run_was_stopped() {
    let (lab, mut spec) = (Lab::new(), spec());
    spec.train.batches = BatchOrder::Sequential;
    spec.train.epochs = Some(1.5);
    spec.train.checkpoint_every = Every::Epochs(0.5);
    spec.count_steps(lab.corpus.info.train_tokens);
    let whole = lab.dir("whole", &spec);
    let steps = lab.run(&whole, &spec, 1, u64::MAX).outcome.unwrap().steps;
    // 18,000 tokens in sequences of 32, in batches of 32.
    assert!((24..=30).contains(&steps), "{steps}");
    let pieces = lab.dir("pieces", &spec);
    for stop_at in [4, 21] {
        assert_eq!(lab.run(&pieces, &spec, 2, stop_at).state, RunState::Stopped);
    }
    lab.run(&pieces, &spec, 1, u64::MAX);
    assert!(left(&whole) == left(&pieces));
}

#[test]
fn the_loss_falls_from_that_of_a_guess() {
    let (lab, spec) = (Lab::new(), spec());
    let dir = lab.dir("run", &spec);
    let outcome = lab.run(&dir, &spec, 1, u64::MAX).outcome.unwrap();
    let first = dir
        .metrics()
        .unwrap()
        .into_iter()
        .find_map(|metric| match metric {
            Metric::Eval(eval) => Some(eval),
            Metric::Step(_) => None,
        });
    let guess = (lab.corpus.info.vocab_size as f64).ln();
    assert!((first.unwrap().val_loss - guess).abs() < 0.05);
    assert!(outcome.val_loss.unwrap() < guess - 0.5);
    assert_eq!(outcome.tokens, 40 * 32 * 32);
}

#[test]
fn a_run_that_diverges_says_where() {
    let (lab, mut spec) = (Lab::new(), spec());
    spec.optimizer = Optimizer {
        kind: OptimizerKind::Sgd,
        lr: 1000.0,
        momentum: 0.99,
        grad_clip: 0.0,
        ..Optimizer::default()
    };
    let status = lab.run(&lab.dir("run", &spec), &spec, 1, u64::MAX);
    assert_eq!(status.state, RunState::Diverged);
    let (what, first) = status.reason.split_once("; first ").unwrap();
    assert!(what.contains("is not finite at step"), "{what}");
    assert!(
        first.contains(" in the ") && first.ends_with('`'),
        "{first}"
    );

    // The same, before it reaches the loss.
    spec.train.debug = true;
    let watched = lab.run(&lab.dir("watched", &spec), &spec, 1, u64::MAX);
    assert_eq!(watched.state, RunState::Diverged);
    let steps = |status: &RunStatus| status.outcome.as_ref().unwrap().steps;
    assert!(steps(&watched) <= steps(&status));
}

#[test]
fn watching_changes_no_bit() {
    let (lab, mut spec) = (Lab::new(), spec());
    spec.train.steps = 5;
    let plain = lab.dir("plain", &spec);
    lab.run(&plain, &spec, 1, u64::MAX);
    spec.train.debug = true;
    let watched = lab.dir("watched", &spec);
    lab.run(&watched, &spec, 1, u64::MAX);
    assert!(left(&plain) == left(&watched));
}

#[test]
fn a_damaged_checkpoint_and_one_of_another_run_are_refused_by_name() {
    let (lab, spec) = (Lab::new(), spec());
    let dir = lab.dir("run", &spec);
    lab.run(&dir, &spec, 1, 10);
    let path = dir.checkpoint().join("state.safetensors");
    let refusal = |spec: &RunSpec| {
        let stop = AtomicBool::new(false);
        let job = Job {
            spec,
            corpus: &lab.corpus,
            dir: &dir,
            device: Device::Cpu,
            threads: 1,
            stop: &stop,
        };
        run(job, &mut |_| {}).unwrap_err().to_string()
    };
    let mut other = spec.clone();
    other.optimizer.lr = 2e-2;
    assert_names(&refusal(&other), &path, "another configuration");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert_names(&refusal(&spec), &path, "cannot go on from the checkpoint");
    assert!(
        fs::read(&path).unwrap().len() == bytes.len() / 2,
        "the file stays"
    );
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let mut metadata = header.metadata().clone().unwrap();
    metadata.insert("format".to_owned(), "runner-checkpoint-0".to_owned());
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let other = safetensors::serialize(tensors.tensors(), Some(metadata)).unwrap();
    fs::write(&path, other).unwrap();
    assert_names(&refusal(&spec), &path, "runner-checkpoint-0");
}

fn assert_names(error: &str, path: &Path, words: &str) {
    assert!(
        error.contains(&path.display().to_string()) && error.contains(words),
        "{error}"
    );
    assert!(error.contains("--retry"), "a way out: {error}");
}

#[test]
fn counting_takes_no_steps_and_beats_a_guess() {
    let (lab, mut spec) = (Lab::new(), spec());
    spec.model.kind = ModelKind::Ngram;
    spec.train.steps = 0;
    let losses = [1, 2, 3].map(|order| {
        spec.model.order = order;
        let dir = lab.dir(&format!("order-{order}"), &spec);
        let status = lab.run(&dir, &spec, 1, u64::MAX);
        assert_eq!(status.state, RunState::Done);
        // What was killed before its status was written is counted again, and told once.
        lab.run(&dir, &spec, 1, u64::MAX);
        let outcome = status.outcome.unwrap();
        let metrics = dir.metrics().unwrap();
        assert!(
            matches!(&metrics[..], [Metric::Eval(eval)] if eval.step == 0
            && Some(eval.val_loss) == outcome.val_loss)
        );
        assert_eq!(
            (outcome.steps, outcome.tokens),
            (0, lab.corpus.info.train_tokens)
        );
        assert!(outcome.params > 0);
        let texts = dir.read_samples().unwrap();
        assert!(
            texts.len() == spec.sample.num && texts[0].text.chars().count() == spec.sample.tokens
        );
        outcome.val_loss.unwrap()
    });
    let by_counting = lab.corpus.info.bigram_count_loss.unwrap();
    assert!(losses[0] > losses[1] && losses[1] > losses[2], "{losses:?}");
    assert!(
        (losses[1] - by_counting).abs() < 0.1,
        "two ways to smooth a bigram"
    );
}
