use super::best_weights;
use super::checkpoints::{Records, RunTotals, resume, save_checkpoint};
use super::divergence;
use super::evaluation::evaluate;
use super::extension::{can_be_extended, extend};
use super::job::{Job, Phase, Progress, Update};
use super::lr_schedule::expected_steps;
use super::peak_memory::peak_memory_mb;
use super::sampling::generate_samples;
use super::saved_weights;
use super::this_environment::environment;
use super::train_error::TrainError;
use super::trainer::{TrainBackend, Trainer};
use crate::data::{Split, TrainingSplit};
use crate::kernels::Backend;
use crate::model::{self, Decoder, Model, prompt_tokens};
use crate::results::{
    Environment, Evaluation, Metric, MetricsWriter, Outcome, RunState, RunStatus, create_folder,
};
use crate::spec::{TrainingLength, is_logged, is_logged_of_open_run};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A run that took less time keeps no checkpoint of its last step. Instead of extending it, one can train it again.
const MIN_SECONDS_OF_EXTENSION: f64 = 5.0;

/// Trains a run. See [`super::run`].
pub(super) fn run<B: TrainBackend>(
    job: &Job,
    device: B::Device,
    device_name: &str,
    on_update: &mut dyn FnMut(Update),
) -> Result<RunStatus, TrainError> {
    let (train, sample) = (&job.spec.train, &job.spec.sample);
    // A prompt that cannot be encoded fails before the training and not after it.
    prompt_tokens(&job.corpus.tokenizer, &sample.prompt).map_err(TrainError::Prompt)?;
    job.corpus.tokenizer.save(&job.dir.tokenizer())?;
    let mut run = TrainLoop::<B>::start_or_resume(job, &device, device_name, on_update)?;
    while !run.is_finished() {
        let step = run.trainer.step;
        if train.eval_every.is_due(step)
            && let Some(divergence) = run.evaluate()?
        {
            return Ok(run.end(RunState::Diverged, divergence));
        }
        if train.eval_every.is_due(step) && run.stops_early() {
            break;
        }
        if sample.every.is_some_and(|every| every.is_due(step)) {
            run.sample()?;
        }
        if job.stop.load(Ordering::Relaxed) {
            run.save_checkpoint()?;
            return Ok(run.end(RunState::Stopped, String::new()));
        }
        if let Some(divergence) = run.step()? {
            return Ok(run.end(RunState::Diverged, divergence));
        }
        let step = run.trainer.step;
        if train.save_every.is_some_and(|every| every.is_due(step)) {
            run.save_weights(job.dir.weights_at(step))?;
        }
        let since = run.last_checkpoint.elapsed().as_secs_f64();
        if train.checkpoint_every.is_due(step, since) {
            run.save_checkpoint()?;
        }
    }
    if let Some(divergence) = run.evaluate()? {
        return Ok(run.end(RunState::Diverged, divergence));
    }
    if can_be_extended(job.spec) && run.training_seconds() > MIN_SECONDS_OF_EXTENSION {
        run.save_checkpoint()?;
    }
    run.load_best_weights()?;
    run.sample()?;
    run.save_weights(job.dir.weights())?;
    Ok(run.end(RunState::Done, String::new()))
}

/// A run in training, with what it writes to its folder.
struct TrainLoop<'a, B: Backend> {
    job: &'a Job<'a>,
    device_name: &'a str,
    trainer: Trainer<B>,
    split: TrainingSplit<'a>,
    metrics_writer: MetricsWriter,
    /// All metrics and samples so far, including those from before an interruption.
    records: Records,
    environment: Environment,
    on_update: &'a mut dyn FnMut(Update),
    identity: String,
    /// The totals in the checkpoint that the run resumed from.
    totals_before: RunTotals,
    started: Instant,
    /// Time in optimizer steps since `started`.
    seconds_in_steps: f64,
    last_checkpoint: Instant,
    /// Step of the best evaluation when the last checkpoint was written.
    best_at_checkpoint: Option<u64>,
    /// The model with the best weights, once training has ended, if the run keeps them.
    best: Option<Model<B>>,
}

impl<'a, B: TrainBackend> TrainLoop<'a, B> {
    /// Resumes from the checkpoint of the run, or starts at the first step if there is none.
    fn start_or_resume(
        job: &'a Job<'a>,
        device: &B::Device,
        device_name: &'a str,
        on_update: &'a mut dyn FnMut(Update),
    ) -> Result<Self, TrainError> {
        let started = Instant::now();
        let info = &job.corpus.info;
        let trainer = Trainer::new(device, job.spec, info.vocab_size);
        let mut trainer = trainer.map_err(TrainError::device)?;
        let identity = job.spec.identity(&info.content_sha256());
        // The records and weights from after the checkpoint are dropped here and written again.
        let mut notice = |text| on_update(Update::Notice(text));
        let mut resumed = resume(&mut trainer, &identity, job.dir, &mut notice)?;
        let removed = job.dir.remove_weights_after(trainer.step);
        removed.map_err(TrainError::file(job.dir.path()))?;
        if trainer.step == 0
            && let Some(shorter) = &job.extends
        {
            let extended = extend(&mut trainer, shorter, job)?;
            if let Some(extended) = extended {
                notice(format!(
                    "continues the run {} from step {}",
                    shorter.name, trainer.step
                ));
                let samples = job.dir.write_samples(&extended.records.samples);
                samples.map_err(TrainError::file(job.dir.samples()))?;
                resumed = extended;
            }
        }
        let metrics_writer = job.dir.create_metrics(&resumed.records.metrics);
        let metrics_writer = metrics_writer.map_err(TrainError::file(job.dir.metrics_file()))?;
        let environment = environment();
        let environments = &mut resumed.records.environments;
        if !environments.contains(&environment) {
            environments.push(environment.clone());
        }
        let best = resumed.records.best_evaluation();
        let best_at_checkpoint = best.map(|best| best.step);
        Ok(Self {
            job,
            device_name,
            trainer,
            split: TrainingSplit::new(job.spec, job.corpus)?,
            metrics_writer,
            records: resumed.records,
            environment,
            on_update,
            identity,
            totals_before: resumed.totals,
            started,
            seconds_in_steps: 0.0,
            last_checkpoint: started,
            best_at_checkpoint,
            best: None,
        })
    }

    /// Whether the last step is taken. A run takes at least one, however short its time is.
    fn is_finished(&self) -> bool {
        let (train, step) = (&self.job.spec.train, self.trainer.step);
        match train.length() {
            TrainingLength::Seconds(seconds) => step > 0 && self.training_seconds() >= seconds,
            _ => step >= train.steps,
        }
    }

    /// Whether the validation loss does not fall any more. It is known after the evaluation of a step.
    fn stops_early(&self) -> bool {
        let early_stop = &self.job.spec.train.early_stop;
        early_stop.is_due(self.evaluations().map(|evaluation| evaluation.val_loss))
    }

    fn evaluations(&self) -> impl DoubleEndedIterator<Item = &Evaluation> {
        let metrics = self.records.metrics.iter();
        metrics.filter_map(Metric::evaluation)
    }

    /// Number of steps of the run. If its length is a time, it is the number that the speed so far lets
    /// expect, and `None` before the first step.
    fn expected_steps(&self) -> Option<u64> {
        let train = &self.job.spec.train;
        match train.length() {
            TrainingLength::Seconds(seconds) => {
                expected_steps(self.trainer.step, self.training_seconds() / seconds)
            }
            _ => Some(train.steps),
        }
    }

    /// Whether the metrics of a step that was taken are written.
    fn is_logged(&self, step: u64) -> bool {
        match self.job.spec.train.planned_steps() {
            Some(steps) => is_logged(step, steps),
            None => is_logged_of_open_run(step) || self.is_finished(),
        }
    }

    /// Takes one optimizer step. Returns the reason if the run cannot continue after it.
    fn step(&mut self) -> Result<Option<String>, TrainError> {
        let started = Instant::now();
        if let Some(steps) = self.expected_steps() {
            self.trainer.schedule_steps = steps;
        }
        let tokens = self.split.at(self.trainer.step)?;
        let metric = self.trainer.step(tokens).map_err(TrainError::device)?;
        self.seconds_in_steps += started.elapsed().as_secs_f64();
        let finite = metric.loss.is_finite() && metric.grad_norm.is_finite();
        if finite && self.is_logged(metric.step) {
            self.write_metric(Metric::Step(metric.clone()))?;
        }
        self.report_progress(Phase::Training, Some(metric.loss));
        Ok(self.trainer.divergence.take())
    }

    /// Measures the loss on the validation split, and on the training split if the run asks for it.
    /// Does nothing if the metrics already have an evaluation at this step. Returns the reason if the
    /// run cannot continue, because a loss is not finite.
    fn evaluate(&mut self) -> Result<Option<String>, TrainError> {
        let step = self.trainer.step;
        let last = self.evaluations().next_back();
        if last.is_some_and(|last| last.step == step) {
            return Ok(None);
        }
        self.report_progress(Phase::Evaluating, None);
        let block = self.job.spec.sequence_length();
        let model = self.trainer.eval_model();
        let loss =
            |split| evaluate(&model, self.job.corpus, split, block).map_err(TrainError::device);
        let val_loss = loss(Split::Val)?;
        let eval_train = self.job.spec.train.eval_train;
        let train_loss = eval_train.then(|| loss(Split::Train)).transpose()?;
        if !val_loss.is_finite() || train_loss.is_some_and(|loss| !loss.is_finite()) {
            return Ok(Some(self.describe_evaluation_divergence()));
        }
        self.write_metric(Metric::Eval(Evaluation {
            step,
            val_loss,
            bits_per_byte: self.job.corpus.info.bits_per_byte(val_loss),
            train_loss,
            seconds: self.training_seconds(),
        }))?;
        if self.keeps_best()
            && let Some(best) = self.result()
            && best.step == step
        {
            best_weights::save(&self.trainer.eval_model(), best, self.job.dir)?;
        }
        Ok(None)
    }

    fn keeps_best(&self) -> bool {
        self.job.spec.train.keeps_best()
    }

    /// The evaluation that is the result of the run: the last one, or the best one.
    fn result(&self) -> Option<&Evaluation> {
        match self.keeps_best() {
            true => self.records.best_evaluation(),
            false => self.evaluations().next_back(),
        }
    }

    /// Goes back to the weights of the best evaluation, if they are the result.
    fn load_best_weights(&mut self) -> Result<(), TrainError> {
        if self.keeps_best()
            && let Some(best) = self.result()
        {
            let mut model = self.trainer.eval_model();
            model.load(&self.job.dir.best_weights(best.step))?;
            self.best = Some(model);
        }
        Ok(())
    }

    /// The model to sample from and to save.
    fn model(&self) -> Model<B> {
        self.best
            .clone()
            .unwrap_or_else(|| self.trainer.eval_model())
    }

    fn describe_evaluation_divergence(&self) -> String {
        let step = self.trainer.step;
        let reason = format!("the loss of an evaluation is not finite at step {step}");
        match divergence::non_finite_parameter(&self.trainer.model) {
            Some(parameter) => format!("{reason}; first {parameter}"),
            None => reason,
        }
    }

    /// Generates the samples of this step, unless they exist already, and writes all samples.
    fn sample(&mut self) -> Result<(), TrainError> {
        let (job, step) = (self.job, self.trainer.step);
        if self
            .records
            .samples
            .iter()
            .all(|sample| sample.step != step)
        {
            self.report_progress(Phase::Sampling, None);
            let vocab_size = job.corpus.info.vocab_size;
            let context = job.spec.sequence_length();
            let model = self.model();
            let decoder = Decoder::new(&model, &job.spec.model, vocab_size, context)?;
            self.records
                .samples
                .extend(generate_samples(job, decoder, step)?);
        }
        let written = job.dir.write_samples(&self.records.samples);
        written.map_err(TrainError::file(job.dir.samples()))
    }

    fn save_checkpoint(&mut self) -> Result<(), TrainError> {
        let totals = self.totals();
        let (records, identity) = (&self.records, &self.identity);
        save_checkpoint(&mut self.trainer, totals, records, identity, self.job.dir)?;
        self.last_checkpoint = Instant::now();
        if self.keeps_best() {
            // The checkpoint before this one may still be needed.
            let best = self.result().map(|best| best.step);
            let kept = [best, self.best_at_checkpoint];
            best_weights::remove_others(self.job.dir, &kept)?;
            self.best_at_checkpoint = best;
        }
        Ok(())
    }

    fn save_weights(&self, path: PathBuf) -> Result<(), TrainError> {
        let folder = path.parent().map_or(Ok(()), create_folder);
        let metadata = || saved_weights::metadata(self.job.spec, self.job.dir);
        let saved = folder.and_then(|()| self.model().save_with(metadata()?, &path));
        saved.map_err(TrainError::file(path))
    }

    /// The status of the run when it ends in this state.
    fn end(&self, state: RunState, reason: String) -> RunStatus {
        let spec = self.job.spec;
        let vocab_size = self.job.corpus.info.vocab_size;
        let size = model::size(&spec.model, vocab_size, spec.sequence_length());
        let (totals, tokens) = (self.totals(), self.tokens());
        let evaluation = self.result();
        let others = self.records.environments.iter();
        let others = others.filter(|other| **other != self.environment);
        let earlier_environments = others.cloned().collect();
        RunStatus {
            state,
            reason,
            outcome: Some(Outcome {
                steps: self.trainer.step,
                tokens,
                params: size.params,
                params_non_embedding: size.params_non_embedding,
                flops_per_token: size.flops_per_token,
                train_loss: self.mean_train_loss(),
                val_loss: evaluation.map(|evaluation| evaluation.val_loss),
                bits_per_byte: evaluation.map(|evaluation| evaluation.bits_per_byte),
                evaluated_step: evaluation.map(|evaluation| evaluation.step),
                tokens_per_second: tokens_per_second(tokens, totals.training_seconds),
                seconds: totals.seconds,
                peak_memory_mb: totals.peak_memory_mb,
                device: self.device_name.to_owned(),
            }),
            environment: Some(self.environment.clone()),
            earlier_environments,
        }
    }

    /// Mean training loss of the logged steps among the last tenth of the steps taken.
    fn mean_train_loss(&self) -> Option<f64> {
        let before = self.trainer.step - self.trainer.step.div_ceil(10);
        let losses = self
            .records
            .metrics
            .iter()
            .filter_map(|metric| match metric {
                Metric::Step(step) if step.step > before => Some(step.loss),
                _ => None,
            });
        let losses: Vec<f64> = losses.collect();
        (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
    }

    /// Number of tokens trained on.
    fn tokens(&self) -> u64 {
        let per_step = self.job.spec.tokens_per_step();
        self.trainer.step.saturating_mul(per_step)
    }

    /// Time in optimizer steps, also before interruptions.
    fn training_seconds(&self) -> f64 {
        self.totals_before.training_seconds + self.seconds_in_steps
    }

    fn totals(&self) -> RunTotals {
        let before = &self.totals_before;
        RunTotals {
            training_seconds: self.training_seconds(),
            seconds: before.seconds + self.started.elapsed().as_secs_f64(),
            peak_memory_mb: before.peak_memory_mb.max(peak_memory_mb()),
        }
    }

    fn write_metric(&mut self, metric: Metric) -> Result<(), TrainError> {
        let written = self.metrics_writer.write(std::slice::from_ref(&metric));
        written.map_err(TrainError::file(self.job.dir.path()))?;
        self.records.metrics.push(metric);
        Ok(())
    }

    fn report_progress(&mut self, phase: Phase, loss: Option<f64>) {
        let training_seconds = self.training_seconds();
        let progress = Progress {
            step: self.trainer.step,
            steps: self.expected_steps().unwrap_or(0),
            loss,
            val_loss: self
                .evaluations()
                .next_back()
                .map(|evaluation| evaluation.val_loss),
            tokens_per_second: tokens_per_second(self.tokens(), training_seconds),
            phase,
        };
        (self.on_update)(Update::Progress(progress));
    }
}

/// 0 if no time has passed.
pub(super) fn tokens_per_second(tokens: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        tokens as f64 / seconds
    } else {
        0.0
    }
}
