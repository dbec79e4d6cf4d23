use super::args;
use super::find_run::find_run;
use super::generate_error::GenerateError;
use super::{Error, Exit};
use crate::config::load_run;
use crate::data::Tokenizer;
use crate::kernels::CpuBackend;
use crate::model::{Decoder, Model, WeightsError, generate, prompt_tokens, size};
use crate::results::{RecordError, RunDir, RunState, RunStatus};
use crate::spec::{ModelKind, RunSpec, Sample};
use crate::text::{escape, units};
use crate::train;
use dfdx::prelude::{Cpu, CpuError};
use std::fs;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

pub(super) fn run(arguments: &args::Generate) -> Result<Exit, Error> {
    if !arguments.more_runs.is_empty() {
        let runs = [vec![arguments.run.clone()], arguments.more_runs.clone()].concat();
        return Err(GenerateError::SeveralRuns(runs).into());
    }
    let dir = find_run(&arguments.results, &arguments.run).map_err(GenerateError::Find)?;
    let spec = load_run(&dir.path().join("config.yaml"))?;
    let mut run = Run::read(&dir, spec, arguments.step)?;
    run.apply_options(arguments)?;
    let Run {
        sample,
        seed,
        tokenizer,
        decoder,
    } = run;
    let prompt = prompt_tokens(&tokenizer, &sample.prompt).map_err(GenerateError::Prompt)?;
    let mut output = Output::new(&sample);
    let written = output.begin().map_err(Stop::Output).and_then(|()| {
        generate(
            decoder,
            &tokenizer,
            &prompt,
            &sample,
            seed,
            |number, piece| output.piece(number, piece).map_err(Stop::Output),
        )
    });
    match written.and_then(|()| output.end().map_err(Stop::Output)) {
        Ok(()) => Ok(Exit::Success),
        // The reader, such as `head`, has closed the pipe.
        Err(Stop::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Success),
        Err(Stop::Output(error)) => Err(Error::Output(error)),
        Err(Stop::Memory(error)) => Err(GenerateError::Memory(error).into()),
    }
}

/// The file with the weights after `step`, or after the last step. `status` is that of a run that has ended.
fn weights(
    dir: &RunDir,
    status: Option<&RunStatus>,
    step: Option<u64>,
) -> Result<PathBuf, GenerateError> {
    let folder = dir.path().to_owned();
    let last = dir.weights();
    let Some(step) = step else {
        if last.exists() {
            return Ok(last);
        }
        let state = describe_state(status);
        return Err(GenerateError::NoModel { folder, state });
    };
    let saved = dir.weights_at(step);
    if saved.exists() {
        return Ok(saved);
    }
    let listed = dir.saved_steps();
    let mut steps = listed.map_err(|source| {
        let path = folder.clone();
        GenerateError::Record(RecordError::Read { path, source })
    })?;
    if last.exists()
        && let Some(outcome) = status.and_then(|status| status.outcome.as_ref())
    {
        let saved = outcome.evaluated_step.unwrap_or(outcome.steps);
        if saved == step {
            return Ok(last);
        }
        if !steps.contains(&saved) {
            steps.push(saved);
        }
    }
    Err(GenerateError::NotSaved {
        folder,
        step,
        saved: steps,
    })
}

/// Bytes by which the weights of a configuration may be larger than their file. What is wrong with them is then
/// found when the file is read, with a better message.
const SLACK: u64 = 64 << 20;

/// Checks that a file of weights is not far too small for a number of parameters, before a model of this size
/// is allocated: the configuration may have been changed.
fn check_size(weights: &Path, params: u64) -> Result<(), WeightsError> {
    let path = || weights.to_owned();
    let file = fs::metadata(weights).map_err(|source| WeightsError::Read {
        path: path(),
        source,
    })?;
    let needed = params.saturating_mul(size_of::<f32>() as u64);
    if needed <= file.len().saturating_add(SLACK) {
        return Ok(());
    }
    let why = format!(
        "it has {} bytes, and the {} parameters of the configuration take {}",
        units::exact(file.len()),
        units::exact(params),
        units::exact(needed)
    );
    Err(WeightsError::Unfit { path: path(), why })
}

/// The state of a run that has no model.
fn describe_state(status: Option<&RunStatus>) -> String {
    match status.map(|status| (status.state, &status.reason)) {
        Some((RunState::Failed, why)) => format!("failed: {why}"),
        Some((RunState::Diverged, why)) => format!("diverged: {why}"),
        Some((RunState::Done, _)) => "is done, but its model.safetensors is missing".to_owned(),
        Some((RunState::NotStarted | RunState::Stopped, _)) | None => {
            "is not done; `runner sweep` continues it".to_owned()
        }
    }
}

/// An error that ends the text early.
enum Stop {
    Output(io::Error),
    Memory(CpuError),
}

impl From<CpuError> for Stop {
    fn from(error: CpuError) -> Self {
        Self::Memory(error)
    }
}

/// What is needed to generate text.
struct Run {
    sample: Sample,
    seed: u64,
    tokenizer: Tokenizer,
    decoder: Decoder,
}

impl Run {
    /// Reads the files of a run besides its configuration, with the weights after `step`, or after the
    /// last step.
    fn read(dir: &RunDir, spec: RunSpec, step: Option<u64>) -> Result<Self, GenerateError> {
        let record = dir.record()?;
        if spec.model.kind == ModelKind::Ngram {
            return Err(GenerateError::Ngram(dir.samples_markdown()));
        }
        let status = record.as_ref().map(|record| &record.status);
        let weights = weights(dir, status, step)?;
        if let Some(record) = &record {
            for file in [&dir.config(), &dir.tokenizer(), &weights] {
                dir.check_file(file, record)?;
            }
        }
        train::check_origin(&weights, &spec, dir)?;
        let tokenizer = Tokenizer::load(&dir.tokenizer()).map_err(GenerateError::Tokenizer)?;
        let vocab_size = tokenizer.vocab_size();
        let context = spec.sequence_length();
        let RunSpec {
            model: config,
            sample,
            seed,
            ..
        } = spec;
        let params = size(&config, vocab_size, context).params;
        check_size(&weights, params).map_err(GenerateError::Weights)?;
        let mut model = Model::<CpuBackend>::zeros(&Cpu::default(), &config, vocab_size)?;
        model.load(&weights).map_err(GenerateError::Weights)?;
        Ok(Self {
            decoder: Decoder::new(&model, &config, vocab_size, context)?,
            sample,
            seed,
            tokenizer,
        })
    }

    /// Replaces the values of the experiment by those of the command line.
    fn apply_options(&mut self, arguments: &args::Generate) -> Result<(), GenerateError> {
        fn replace<T: Clone>(field: &mut T, option: &Option<T>) {
            if let Some(value) = option {
                *field = value.clone();
            }
        }
        let sample = &mut self.sample;
        if arguments.prompt.as_deref() == Some("-") {
            sample.prompt.clear();
            let read = io::stdin().read_to_string(&mut sample.prompt);
            read.map_err(GenerateError::Stdin)?;
        } else {
            replace(&mut sample.prompt, &arguments.prompt);
        }
        replace(&mut sample.tokens, &arguments.tokens);
        replace(&mut sample.num_samples, &arguments.num_samples);
        replace(&mut sample.temperature, &arguments.temperature);
        replace(&mut sample.top_k, &arguments.top_k.map(|k| k.0));
        replace(&mut sample.top_p, &arguments.top_p);
        replace(&mut sample.min_p, &arguments.min_p);
        replace(
            &mut sample.repetition_penalty,
            &arguments.repetition_penalty,
        );
        if arguments.no_stop {
            sample.stop = None;
        }
        if let Some(stop) = &arguments.stop {
            let characters = self.tokenizer.unwritable_characters(stop);
            if !characters.is_empty() {
                return Err(GenerateError::Stop(characters));
            }
            sample.stop = Some(stop.clone());
        }
        replace(&mut self.seed, &arguments.seed);
        Ok(())
    }
}

/// Prints the first text while it is generated. The others are generated at the same time and printed
/// after it.
struct Output<'a> {
    prompt: &'a str,
    /// Number of texts.
    num: usize,
    out: io::StdoutLock<'static>,
    /// On a terminal, control characters in the text are made visible.
    is_terminal: bool,
    /// The texts after the first.
    others: Vec<String>,
    /// Whether the output so far ends with a line break.
    at_line_start: bool,
}

impl<'a> Output<'a> {
    fn new(sample: &'a Sample) -> Self {
        let out = io::stdout().lock();
        Self {
            prompt: &sample.prompt,
            num: sample.num_samples,
            is_terminal: out.is_terminal(),
            out,
            others: vec![String::new(); sample.num_samples - 1],
            at_line_start: true,
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        self.title(1)?;
        self.show(self.prompt)
    }

    fn piece(&mut self, number: usize, piece: &str) -> io::Result<()> {
        match number {
            0 => self.show(piece),
            _ => {
                self.others[number - 1].push_str(piece);
                Ok(())
            }
        }
    }

    fn end(mut self) -> io::Result<()> {
        for (text, number) in std::mem::take(&mut self.others).into_iter().zip(2..) {
            self.end_line()?;
            self.title(number)?;
            self.show(self.prompt)?;
            self.show(&text)?;
        }
        self.end_line()
    }

    /// Prints the number of the text that follows, if there are several.
    fn title(&mut self, number: usize) -> io::Result<()> {
        match self.num {
            1 => Ok(()),
            all => writeln!(self.out, "--- text {number} of {all} ---"),
        }
    }

    fn show(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.at_line_start = text.ends_with('\n');
        if self.is_terminal {
            self.out.write_all(escape::visible(text).as_bytes())?;
        } else {
            self.out.write_all(text.as_bytes())?;
        }
        self.out.flush()
    }

    fn end_line(&mut self) -> io::Result<()> {
        if !self.at_line_start {
            writeln!(self.out)?;
        }
        self.at_line_start = true;
        self.out.flush()
    }
}
