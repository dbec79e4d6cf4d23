use super::checkpoints::{Elapsed, load_checkpoint, save_checkpoint};
use super::divergence;
use super::evaluation::evaluate;
use super::sampling::draw;
use super::{Job, Phase, Progress, TrainBackend, TrainError, Trainer};
use crate::data::{Split, TrainingSplit};
use crate::kernels::Backend;
use crate::model::{self, Decoder, prompt_tokens};
use crate::results::{
    Evaluation, Metric, MetricsWriter, Outcome, RunState, RunStatus, SampleText, is_logged,
};
use nix::sys::resource::{UsageWho, getrusage};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Trains a run in the order in which things happen.
pub(super) fn run<B: TrainBackend>(
    job: &Job,
    device: B::Device,
    device_name: &str,
    progress: &mut dyn FnMut(Progress),
) -> Result<RunStatus, TrainError> {
    let sample = &job.spec.sample;
    // A prompt that cannot be encoded is found before the training, not after it.
    prompt_tokens(&job.corpus.tokenizer, &sample.prompt).map_err(TrainError::Prompt)?;
    let tokenizer = job.dir.tokenizer();
    job.corpus.tokenizer.save(&tokenizer)?;
    let mut session = Session::<B>::start(job, &device, device_name, progress)?;
    let train = &job.spec.train;
    while session.trainer.step < train.steps {
        let step = session.trainer.step;
        if train.eval_every.is_due(step) && !session.evaluate()? {
            return Ok(session.diverged("the loss of an evaluation"));
        }
        if sample.every.is_some_and(|every| every.is_due(step)) {
            session.sample()?;
        }
        if job.stop.load(Ordering::Relaxed) {
            session.checkpoint()?;
            return Ok(session.ended(RunState::Stopped, String::new()));
        }
        session.step()?;
        if let Some(trouble) = session.trainer.divergence.take() {
            return Ok(session.ended(RunState::Diverged, trouble));
        }
        let step = session.trainer.step;
        if train
            .keep_weights_every
            .is_some_and(|every| every.is_due(step))
        {
            session.save_weights(job.dir.weights_at(step))?;
        }
        if train.checkpoint_every.is_due(step) {
            session.checkpoint()?;
        }
    }
    if !session.evaluate()? {
        return Ok(session.diverged("the loss of an evaluation"));
    }
    session.sample()?;
    session.save_weights(job.dir.weights())?;
    Ok(session.ended(RunState::Done, String::new()))
}

struct Session<'a, B: Backend> {
    job: &'a Job<'a>,
    device_name: &'a str,
    trainer: Trainer<B>,
    split: TrainingSplit<'a>,
    metrics: MetricsWriter,
    /// Every line of the metrics so far.
    history: Vec<Metric>,
    /// Every text of `samples.json` so far.
    samples: Vec<SampleText>,
    progress: &'a mut dyn FnMut(Progress),
    identity: String,
    /// As of the checkpoint that the run went on from.
    before: Elapsed,
    started: Instant,
    training_seconds: f64,
}

impl<'a, B: TrainBackend> Session<'a, B> {
    /// A fresh run, or one that goes on from its checkpoint.
    fn start(
        job: &'a Job<'a>,
        device: &B::Device,
        device_name: &'a str,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Result<Self, TrainError> {
        let started = Instant::now();
        let info = &job.corpus.info;
        let mut trainer =
            Trainer::new(device, job.spec, info.vocab_size).map_err(TrainError::device)?;
        let identity = job.spec.identity(&info.content_sha256());
        let before = load_checkpoint(&mut trainer, &identity, &job.dir.checkpoint())?;
        let (metrics, history) = job
            .dir
            .open_metrics(trainer.step)
            .map_err(TrainError::file(job.dir.path()))?;
        let samples = job.dir.read_samples();
        let mut samples = samples.map_err(TrainError::file(job.dir.samples()))?;
        // As with the metrics, what comes after the checkpoint is made again.
        samples.retain(|sample| sample.step <= trainer.step);
        Ok(Self {
            job,
            device_name,
            trainer,
            split: TrainingSplit::new(job.spec, job.corpus)?,
            metrics,
            history,
            samples,
            progress,
            identity,
            before: before.unwrap_or_default(),
            started,
            training_seconds: 0.0,
        })
    }

    /// One optimizer step.
    fn step(&mut self) -> Result<(), TrainError> {
        let started = Instant::now();
        let step = self.trainer.step;
        let metric = self
            .trainer
            .step(self.split.at(step)?)
            .map_err(TrainError::device)?;
        self.training_seconds += started.elapsed().as_secs_f64();
        let steps = self.job.spec.train.steps;
        let finite = metric.loss.is_finite() && metric.grad_norm.is_finite();
        if finite && is_logged(metric.step, steps) {
            self.log(Metric::Step(metric.clone()))?;
        }
        self.report(Phase::Training, Some(metric.loss));
        Ok(())
    }

    /// Scores the validation split, and the training split where the run asks for it, unless the
    /// metrics hold the score of this step already. Says whether the losses are finite.
    fn evaluate(&mut self) -> Result<bool, TrainError> {
        let step = self.trainer.step;
        let known = |metric: &Metric| matches!(metric, Metric::Eval(eval) if eval.step == step);
        if self.history.iter().any(known) {
            return Ok(true);
        }
        self.report(Phase::Evaluating, None);
        let block = self.job.spec.sequence_length();
        let model = self.trainer.eval_model();
        let loss =
            |split| evaluate(&model, self.job.corpus, split, block).map_err(TrainError::device);
        let val_loss = loss(Split::Val)?;
        let wanted = self.job.spec.train.eval_train;
        let train_loss = wanted.then(|| loss(Split::Train)).transpose()?;
        if !val_loss.is_finite() || train_loss.is_some_and(|loss| !loss.is_finite()) {
            return Ok(false);
        }
        self.log(Metric::Eval(Evaluation {
            step,
            val_loss,
            bits_per_byte: self.job.corpus.info.bits_per_byte(val_loss),
            train_loss,
            seconds: self.elapsed().training_seconds,
        }))?;
        Ok(true)
    }

    fn checkpoint(&mut self) -> Result<(), TrainError> {
        let elapsed = self.elapsed();
        let folder = self.job.dir.checkpoint();
        save_checkpoint(&mut self.trainer, elapsed, &self.identity, &folder)
    }

    fn save_weights(&self, path: PathBuf) -> Result<(), TrainError> {
        let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
        let saved = folder.and_then(|()| self.trainer.eval_model().save(&path));
        saved.map_err(TrainError::file(path))
    }

    /// Draws the texts for the report, unless those of this step are there already.
    fn sample(&mut self) -> Result<(), TrainError> {
        let (job, step) = (self.job, self.trainer.step);
        if self.samples.iter().all(|sample| sample.step != step) {
            self.report(Phase::Sampling, None);
            let vocab_size = job.corpus.info.vocab_size;
            let context = job.spec.sequence_length();
            let model = self.trainer.eval_model();
            let decoder = Decoder::new(&model, &job.spec.model, vocab_size, context)?;
            self.samples.extend(draw(job, decoder, step)?);
        }
        let written = job.dir.write_samples(&self.samples);
        written.map_err(TrainError::file(job.dir.samples()))
    }

    fn diverged(&self, what: &str) -> RunStatus {
        let mut reason = format!("{what} is not finite at step {}", self.trainer.step);
        if let Some(parameter) = divergence::non_finite_parameter(&self.trainer.model) {
            reason = format!("{reason}; first {parameter}");
        }
        self.ended(RunState::Diverged, reason)
    }

    fn ended(&self, state: RunState, reason: String) -> RunStatus {
        let spec = self.job.spec;
        let size = model::size(
            &spec.model,
            self.job.corpus.info.vocab_size,
            spec.sequence_length(),
        );
        let elapsed = self.elapsed();
        let tokens = self.tokens();
        let last = self.last_evaluation();
        RunStatus {
            state,
            reason,
            outcome: Some(Outcome {
                steps: self.trainer.step,
                tokens,
                params: size.params,
                params_non_embedding: size.params_non_embedding,
                flops_per_token: size.flops_per_token,
                train_loss: self.train_loss(),
                val_loss: last.map(|eval| eval.val_loss),
                bits_per_byte: last.map(|eval| eval.bits_per_byte),
                tokens_per_second: rate(tokens, elapsed.training_seconds),
                seconds: elapsed.seconds,
                peak_memory_mb: elapsed.peak_memory_mb,
                device: self.device_name.to_owned(),
            }),
        }
    }

    /// Mean loss of the last tenth of the steps, as far as they were logged.
    fn train_loss(&self) -> Option<f64> {
        let from = self.trainer.step - self.trainer.step.div_ceil(10);
        let losses: Vec<f64> = self
            .history
            .iter()
            .filter_map(|metric| match metric {
                Metric::Step(step) if step.step > from => Some(step.loss),
                _ => None,
            })
            .collect();
        (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
    }

    fn last_evaluation(&self) -> Option<&Evaluation> {
        self.history.iter().rev().find_map(|metric| match metric {
            Metric::Eval(eval) => Some(eval),
            Metric::Step(_) => None,
        })
    }

    fn tokens(&self) -> u64 {
        self.trainer.step * self.job.spec.tokens_per_step()
    }

    fn elapsed(&self) -> Elapsed {
        Elapsed {
            training_seconds: self.before.training_seconds + self.training_seconds,
            seconds: self.before.seconds + self.started.elapsed().as_secs_f64(),
            peak_memory_mb: self.before.peak_memory_mb.max(peak_memory_mb()),
        }
    }

    fn log(&mut self, metric: Metric) -> Result<(), TrainError> {
        let written = self.metrics.write(std::slice::from_ref(&metric));
        written.map_err(TrainError::file(self.job.dir.path()))?;
        self.history.push(metric);
        Ok(())
    }

    fn report(&mut self, phase: Phase, loss: Option<f64>) {
        let elapsed = self.elapsed();
        let update = Progress {
            step: self.trainer.step,
            steps: self.job.spec.train.steps,
            loss,
            val_loss: self.last_evaluation().map(|eval| eval.val_loss),
            tokens_per_second: rate(self.tokens(), elapsed.training_seconds),
            phase,
        };
        (self.progress)(update);
    }
}

pub(super) fn rate(tokens: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        tokens as f64 / seconds
    } else {
        0.0
    }
}

/// Peak resident memory of this process, in MiB; 0 if the system does not tell.
pub(super) fn peak_memory_mb() -> f64 {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return 0.0;
    };
    let unit = if cfg!(target_os = "macos") {
        1.0
    } else {
        1024.0
    };
    usage.max_rss() as f64 * unit / (1024.0 * 1024.0)
}
