//! Runs of an n-gram model. It is counted from the training split and evaluated once; there are no
//! training steps.

use super::job::{Job, Phase, Progress, Update};
use super::peak_memory::peak_memory_mb;
use super::sampling::generate_samples;
use super::this_environment::environment;
use super::train_error::TrainError;
use super::train_loop::tokens_per_second;
use crate::data::NgramCounts;
use crate::model::Decoder;
use crate::results::{Evaluation, Metric, Outcome, RunState, RunStatus};
use std::time::Instant;

/// Counts and evaluates. It takes seconds, so it writes no checkpoint.
pub(super) fn run(job: &Job, on_update: &mut dyn FnMut(Update)) -> Result<RunStatus, TrainError> {
    let started = Instant::now();
    let info = &job.corpus.info;
    job.corpus.tokenizer.save(&job.dir.tokenizer())?;
    let mut report = |phase, val_loss| {
        on_update(Update::Progress(Progress {
            step: 0,
            steps: 0,
            loss: None,
            val_loss,
            tokens_per_second: 0.0,
            phase,
        }));
    };
    report(Phase::Training, None);
    let train = &job.corpus.train;
    let model = NgramCounts::count(train.iter(), job.spec.model.order, info.vocab_size)?;
    let counting_seconds = started.elapsed().as_secs_f64();
    report(Phase::Evaluating, None);
    let val_loss = model.loss(train, &job.corpus.val);
    let bits_per_byte = info.bits_per_byte(val_loss);
    let evaluation = Metric::Eval(Evaluation {
        step: 0,
        val_loss,
        bits_per_byte,
        train_loss: None,
        seconds: counting_seconds,
    });
    let written = job.dir.create_metrics(&[evaluation]);
    written.map_err(TrainError::file(job.dir.metrics_file()))?;
    report(Phase::Sampling, Some(val_loss));
    let params = model.size() as u64;
    let samples = generate_samples(job, Decoder::from_ngram(model), 0)?;
    let written = job.dir.write_samples(&samples);
    written.map_err(TrainError::file(job.dir.samples()))?;
    Ok(RunStatus {
        state: RunState::Done,
        reason: String::new(),
        outcome: Some(Outcome {
            steps: 0,
            tokens: info.train_tokens,
            params,
            params_non_embedding: 0,
            flops_per_token: 0.0,
            train_loss: None,
            val_loss: Some(val_loss),
            bits_per_byte: Some(bits_per_byte),
            evaluated_step: Some(0),
            tokens_per_second: tokens_per_second(info.train_tokens, counting_seconds),
            seconds: started.elapsed().as_secs_f64(),
            peak_memory_mb: peak_memory_mb(),
            device: "cpu".to_owned(),
        }),
        environment: Some(environment()),
        earlier_environments: Vec::new(),
    })
}
