//! Results folders for tests, with the files that runs write.

use super::loaded_results::Results;
use crate::results::{
    CorpusInfo, Evaluation, Metric, Outcome, PlannedRun, RunDir, RunState, RunStatus, SampleText,
    Sealed, StepMetric, SweepPlan, write_sealed_json,
};
use crate::spec::{
    Compare, Data, Experiment, Mlp, Model, ModelKind, Norm, Optimizer, Report, RunSpec, Sample,
    Tokenizer, Train, TunedRun,
};
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

/// A run of the default configuration.
pub(super) fn spec(variant: &str, seed: u64) -> RunSpec {
    RunSpec {
        variant: variant.to_owned(),
        seed,
        data: Data::default(),
        tokenizer: Tokenizer::default(),
        model: Model::default(),
        optimizer: Optimizer::default(),
        train: Train::default(),
        sample: Sample::default(),
    }
}

/// A results folder under construction.
pub(super) struct Folder {
    dir: tempfile::TempDir,
    /// The results folder, if it is inside of `dir`.
    inner: Option<PathBuf>,
    pub(super) plan: RefCell<SweepPlan>,
}

impl Folder {
    pub(super) fn new(name: &str) -> Self {
        let experiment = Experiment {
            name: name.to_owned(),
            extends: Vec::new(),
            description: "Which parts of a modern GPT block reduce the loss at this size?"
                .to_owned(),
            data: Data::default(),
            tokenizer: Tokenizer::default(),
            model: Model::default(),
            optimizer: Optimizer::default(),
            train: Train::default(),
            sample: Sample::default(),
            claims: Vec::new(),
            expect: Vec::new(),
            compare: Compare::default(),
            report: Report::default(),
            sweep: None,
        };
        let plan = SweepPlan {
            experiment,
            baseline: "gpt".to_owned(),
            earlier: Vec::new(),
            matched: Vec::new(),
            command: format!("runner sweep experiments/{name}.yaml"),
            version: "0.1.0".to_owned(),
            config_hash: "3f".repeat(32),
            machine: "AMD EPYC 9B14, 2 cores, Linux".to_owned(),
            corpora: vec![corpus()],
            runs: Vec::new(),
        };
        Self {
            dir: tempfile::tempdir().unwrap(),
            inner: None,
            plan: RefCell::new(plan),
        }
    }

    /// A results folder in a folder of its own.
    pub(super) fn inside(name: &str) -> Self {
        let mut folder = Self::new(name);
        folder.inner = Some(folder.dir.path().join(name));
        fs::create_dir(folder.path()).unwrap();
        folder
    }

    pub(super) fn path(&self) -> &Path {
        self.inner.as_deref().unwrap_or(self.dir.path())
    }

    /// Adds a run to the plan. The builder adds its results.
    pub(super) fn run(&self, variant: &str, seed: u64) -> RunBuilder<'_> {
        RunBuilder {
            folder: self,
            spec: spec(variant, seed),
            corpus: 0,
            params: 804_096,
            tuned: None,
            smaller_size: None,
            bits_per_byte: 0.0,
            seconds: 42.0,
            metrics: Vec::new(),
            texts_before: Vec::new(),
            text: "\nMIRA. The tide is late, and so are you.\n".to_owned(),
        }
    }

    pub(super) fn write_plan(&self) {
        write_sealed_json(&self.path().join("plan.json"), &*self.plan.borrow()).unwrap();
    }

    pub(super) fn write(&self) -> super::Summary {
        self.write_plan();
        self.try_write().unwrap()
    }

    /// Writes the report by the plan on disk, with the template of its experiment, as a sweep does.
    pub(super) fn try_write(&self) -> Result<super::Summary, super::ReportError> {
        let plan = super::read_plan(self.path())?;
        let template = plan.value.experiment.report.template.clone();
        super::write(self.path(), plan, template.as_deref()).map(|report| report.summary)
    }

    /// The report by the plan in memory, as a comment of a pull request.
    pub(super) fn comment(&self) -> String {
        let plan = Sealed::verified(self.plan.borrow().clone());
        super::render_comment(self.path(), plan).unwrap()
    }

    /// The results by the plan in memory.
    pub(super) fn results(&self) -> Results {
        let plan = Sealed::verified(self.plan.borrow().clone());
        Results::read(self.path(), plan).unwrap()
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }
}

/// The corpus `builtin:plays` at its default size, tokenized into characters.
pub(super) fn corpus() -> CorpusInfo {
    CorpusInfo {
        key: "plays-char".to_owned(),
        source: "builtin:plays".to_owned(),
        data_sha256: "a1".repeat(32),
        tokenizer_sha256: "b2".repeat(32),
        vocab_size: 65,
        train_bytes: 900_000,
        val_bytes: 100_000,
        train_tokens: 900_000,
        sampled_train_tokens: None,
        val_tokens: 100_000,
        val_unknown_tokens: 0,
        lossless: true,
        has_carriage_returns: false,
        floor_bits_per_byte: Some(1.1021),
        bigram_count_loss: Some(2.41),
    }
}

/// One run of a [`Folder`]; ends with `done`, `failed`, `diverged`, `stopped`, `interrupted` or
/// `not_started`.
pub(super) struct RunBuilder<'a> {
    folder: &'a Folder,
    pub(super) spec: RunSpec,
    corpus: usize,
    params: u64,
    tuned: Option<TunedRun>,
    smaller_size: Option<usize>,
    bits_per_byte: f64,
    seconds: f64,
    metrics: Vec<Metric>,
    text: String,
    /// (step, text) of samples before the last step.
    texts_before: Vec<(u64, String)>,
}

impl RunBuilder<'_> {
    pub(super) fn spec(mut self, change: impl FnOnce(&mut RunSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    pub(super) fn corpus(mut self, index: usize) -> Self {
        self.corpus = index;
        self
    }

    pub(super) fn params(mut self, params: u64) -> Self {
        self.params = params;
        self
    }

    pub(super) fn tuned(mut self, combination: usize, is_search: bool) -> Self {
        self.tuned = Some(TunedRun {
            combination,
            is_search,
            rung: 0,
        });
        self
    }

    pub(super) fn smaller_size(mut self, size: usize) -> Self {
        self.smaller_size = Some(size);
        self
    }

    pub(super) fn seconds(mut self, seconds: f64) -> Self {
        self.seconds = seconds;
        self
    }

    /// Adds a sample from an earlier step.
    pub(super) fn text_before(mut self, step: u64, text: &str) -> Self {
        self.texts_before.push((step, text.to_owned()));
        self
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        self.text = text.to_owned();
        self
    }

    /// Adds evaluations, given as (step, bits per byte).
    pub(super) fn evaluations(mut self, points: &[(u64, f64)]) -> Self {
        for &(step, bits_per_byte) in points {
            self.metrics.push(Metric::Eval(Evaluation {
                step,
                val_loss: bits_per_byte * std::f64::consts::LN_2,
                bits_per_byte,
                train_loss: None,
                seconds: self.seconds * step as f64 / self.spec.train.steps.max(1) as f64,
            }));
            self.bits_per_byte = bits_per_byte;
        }
        self
    }

    /// Adds the metrics of a complete run that ends at `bits_per_byte`: all steps, and an evaluation
    /// every 25 steps.
    pub(super) fn curve(mut self, bits_per_byte: f64) -> Self {
        let steps = self.spec.train.steps;
        for step in 0..=steps {
            let left = (-(step as f64) / steps as f64 * 9.0).exp();
            let value = bits_per_byte + (6.02 - bits_per_byte) * (0.7 * left + 0.3 * left.powi(4));
            let noise = (step as f64 * 12.9898 + self.spec.seed as f64 * 78.233).sin() * 43_758.547;
            if step > 0 {
                self.metrics.push(Metric::Step(StepMetric {
                    step,
                    loss: value * std::f64::consts::LN_2 + 0.05 * noise.fract(),
                    lr: 1e-3,
                    grad_norm: 0.5 + 2.0 * left + 0.2 * noise.fract().abs(),
                }));
            }
            if step % 25 == 0 {
                let wobble = 0.02 * noise.fract() * left.sqrt();
                let end = if step == steps {
                    bits_per_byte
                } else {
                    value + wobble
                };
                self = self.evaluations(&[(step, end)]);
            }
        }
        self
    }

    /// Removes the evaluations after a step.
    pub(super) fn without_evaluations_after(mut self, step: u64) -> Self {
        let is_kept = |metric: &Metric| match metric {
            Metric::Eval(evaluation) => evaluation.step <= step,
            Metric::Step(_) => true,
        };
        self.metrics.retain(is_kept);
        self
    }

    pub(super) fn done(self) {
        self.end(Some((RunState::Done, "")));
    }

    pub(super) fn failed(self, reason: &str) {
        self.end(Some((RunState::Failed, reason)));
    }

    pub(super) fn diverged(self, reason: &str) {
        self.end(Some((RunState::Diverged, reason)));
    }

    pub(super) fn stopped(self) {
        self.end(Some((RunState::Stopped, "interrupted at step 200")));
    }

    /// Leaves a checkpoint and no status, as a run does that is still running or was killed.
    pub(super) fn interrupted(self) {
        let name = self.spec.run_name(
            &self
                .spec
                .identity(&self.folder.plan.borrow().corpora[self.corpus].content_sha256()),
        );
        let dir = RunDir::new(self.folder.path().join("runs").join(name));
        std::fs::create_dir_all(dir.checkpoint()).unwrap();
        std::fs::write(dir.checkpoint().join("state.safetensors"), "").unwrap();
        self.end(None);
    }

    pub(super) fn not_started(self) {
        self.end(None);
    }

    fn end(self, ending: Option<(RunState, &str)>) {
        let mut plan = self.folder.plan.borrow_mut();
        let corpus = &plan.corpora[self.corpus];
        let identity = self.spec.identity(&corpus.content_sha256());
        let name = self.spec.run_name(&identity);
        let dir = RunDir::new(self.folder.path().join("runs").join(&name));
        dir.create(&self.spec).unwrap();
        dir.create_metrics(&self.metrics).unwrap();
        let steps = self.metrics.last().map_or(0, Metric::step);
        let outcome = Outcome {
            steps,
            tokens: steps * self.spec.tokens_per_step(),
            params: self.params,
            params_non_embedding: self.params.saturating_sub(16_512),
            flops_per_token: 6.0 * self.params as f64,
            train_loss: Some(self.bits_per_byte * std::f64::consts::LN_2),
            val_loss: Some(self.bits_per_byte * std::f64::consts::LN_2),
            bits_per_byte: Some(self.bits_per_byte),
            evaluated_step: None,
            tokens_per_second: 384_000.0 / self.seconds,
            seconds: self.seconds + 3.0,
            peak_memory_mb: 187.25,
            device: "cpu".to_owned(),
        };
        if matches!(ending, Some((RunState::Done, _))) {
            let drawn = |step, text: &str| SampleText {
                step,
                number: 1,
                prompt: "\n".to_owned(),
                text: text.to_owned(),
            };
            let before = self.texts_before.iter();
            let mut samples: Vec<_> = before.map(|(step, text)| drawn(*step, text)).collect();
            samples.push(drawn(steps, &self.text));
            dir.write_samples(&samples).unwrap();
        }
        if let Some((state, reason)) = ending {
            let status = RunStatus {
                state,
                reason: reason.to_owned(),
                outcome: (state != RunState::Failed).then_some(outcome),
                environment: None,
                earlier_environments: Vec::new(),
            };
            dir.write_record(&status, &identity).unwrap();
        }
        plan.runs.push(PlannedRun {
            name,
            identity,
            corpus: self.corpus,
            params: self.params,
            params_non_embedding: self.params.saturating_sub(16_512),
            flops_per_token: 6.0 * self.params as f64,
            tuned: self.tuned,
            smaller_size: self.smaller_size,
            spec: self.spec,
        });
    }
}

/// Effect of each seed on every variant, which paired differences remove.
pub(super) const SEED_EFFECTS: [f64; 5] = [0.0, 0.021, -0.013, 0.008, -0.017];
/// Remaining noise, by variant and seed.
const NOISE: [f64; 7] = [0.0011, -0.0008, 0.0004, -0.0013, 0.0007, 0.0002, -0.0005];

/// Adds a variant whose runs end near `bits_per_byte`, with the noise of its seeds.
pub(super) fn variant(
    folder: &Folder,
    name: &str,
    seeds: u64,
    bits_per_byte: f64,
    change: impl Fn(RunBuilder) -> RunBuilder,
) {
    let which = folder.plan.borrow().runs.len();
    for seed in 1..=seeds {
        let own = NOISE[(which * 3 + seed as usize * 2) % NOISE.len()];
        let shared = SEED_EFFECTS[seed as usize - 1];
        change(folder.run(name, seed))
            .curve(bits_per_byte + shared + own)
            .done();
    }
}

/// The ablation of the documentation, with six variants and three seeds.
pub(super) fn ablation() -> Folder {
    let folder = Folder::new("ablation");
    let gated = |spec: &mut RunSpec| spec.model.mlp = Mlp::Swiglu;
    let rms = |spec: &mut RunSpec| spec.model.norm = Norm::Rmsnorm;
    variant(&folder, "gpt", 3, 1.52, |run| {
        run.text("\nMIRA. The tide is late, and so are you.\n\nTOBIN. I came as the bell came,\nlate and loud.\n\n[Exit MIRA]\n")
    });
    variant(&folder, "bigram", 3, 3.49, |run| {
        let run = run.spec(|spec| {
            spec.model.kind = ModelKind::Bigram;
            spec.optimizer.lr = 1e-2;
        });
        run.params(4225)
            .seconds(1.3)
            .text("\nTh t ared tond ce w. blellat MI\nRA. s, yof athe and bin\n")
    });
    variant(&folder, "rmsnorm", 3, 1.5205, |run| {
        run.spec(rms).seconds(40.0)
    });
    variant(&folder, "swiglu", 3, 1.48, |run| {
        run.spec(gated).params(806_000).seconds(46.0)
    });
    variant(&folder, "untied", 3, 1.531, |run| {
        run.spec(|spec| spec.model.tie_weights = false)
            .params(812_416)
            .seconds(43.0)
    });
    variant(&folder, "rmsnorm_swiglu", 3, 1.479, |run| {
        run.spec(|spec| {
            gated(spec);
            rms(spec);
        })
        .params(806_000)
        .seconds(44.0)
    });
    folder
}

/// The text without the hashes of runs. They change whenever a configuration gets a new key.
pub(super) fn unhashed(text: &str) -> String {
    let name = regex::Regex::new("(-s[0-9]+)-[0-9a-f]{8}\\b").unwrap();
    name.replace_all(text, "$1-HASH").into_owned()
}
