use super::args;
use super::find_run::{FindError, find_run};
use super::{Error, Exit};
use crate::data::{DataError, Tokenizer};
use crate::kernels::CpuBackend;
use crate::model::{Decoder, Model, WeightsError, generate, prompt_tokens};
use crate::results::{RunDir, RunState, RunStatus};
use crate::spec::{ModelKind, RunSpec, Sample};
use crate::text::escape;
use dfdx::prelude::{Cpu, CpuError};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::path::PathBuf;

/// Why there is nothing to draw from.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error("cannot read the record in {}: {source}{AGAIN}", folder.display())]
    Record { folder: PathBuf, source: io::Error },
    #[error("{} has no model: the run {state}", folder.display())]
    NoModel { folder: PathBuf, state: String },
    #[error(
        "an n-gram model is counted again for each run and is not kept; what it wrote is in {}", .0.display()
    )]
    Counted(PathBuf),
    #[error(
        "the weights after step {step} of {} are not kept\n{}",
        folder.display(),
        kept_words(kept)
    )]
    NotKept {
        folder: PathBuf,
        step: u64,
        kept: Vec<u64>,
    },
    #[error("{0}{AGAIN}")]
    Weights(WeightsError),
    #[error("{0}{AGAIN}")]
    Tokenizer(DataError),
    #[error("the prompt cannot be encoded: {0}")]
    Prompt(DataError),
    #[error("cannot read the prompt from standard input: {0}")]
    Stdin(io::Error),
    #[error("there is no memory for the model: {0}")]
    Memory(#[from] CpuError),
}

/// What helps where a file of a run is not what it should be.
const AGAIN: &str = "\nthe file is damaged, or was written by another version of runner; \
    `runner sweep` with --fresh trains the run again";

fn kept_words(kept: &[u64]) -> String {
    let how = "`train.keep_weights_every` keeps more, of a run that is trained with it (again, \
               with --fresh, where it is done)";
    if kept.is_empty() {
        return how.to_owned();
    }
    let kept: Vec<String> = kept.iter().map(u64::to_string).collect();
    format!("kept are those of {}; {how}", kept.join(", "))
}

pub(super) fn run(arguments: &args::Generate) -> Result<Exit, Error> {
    let dir = find_run(&arguments.results, &arguments.run).map_err(GenerateError::Find)?;
    let mut run = Run::read(&dir, arguments.step)?;
    run.overlay(arguments)?;
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
        // The reader, such as `head`, has seen enough.
        Err(Stop::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Success),
        Err(Stop::Output(error)) => Err(Error::Output(error)),
        Err(Stop::Memory(error)) => Err(GenerateError::Memory(error).into()),
    }
}

/// The file with the weights after a step, or after the last.
fn weights(dir: &RunDir, step: Option<u64>) -> Result<PathBuf, GenerateError> {
    let status = || dir.status().map_err(unread(dir));
    let folder = dir.path().to_owned();
    let of_last = dir.weights();
    let Some(step) = step else {
        if of_last.exists() {
            return Ok(of_last);
        }
        let state = state(status()?);
        return Err(GenerateError::NoModel { folder, state });
    };
    let of_step = dir.weights_at(step);
    if of_step.exists() {
        return Ok(of_step);
    }
    let mut kept = dir.kept_steps().map_err(unread(dir))?;
    if of_last.exists()
        && let Some(outcome) = status()?.and_then(|status| status.outcome)
    {
        if outcome.steps == step {
            return Ok(of_last);
        }
        if !kept.contains(&outcome.steps) {
            kept.push(outcome.steps);
        }
    }
    Err(GenerateError::NotKept { folder, step, kept })
}

/// The error of a record that cannot be read.
fn unread(dir: &RunDir) -> impl Fn(io::Error) -> GenerateError {
    |source| GenerateError::Record {
        folder: dir.path().to_owned(),
        source,
    }
}

/// What a run that has no model did.
fn state(status: Option<RunStatus>) -> String {
    match status.map(|status| (status.state, status.reason)) {
        Some((RunState::Failed, why)) => format!("failed: {why}"),
        Some((RunState::Diverged, why)) => format!("diverged: {why}"),
        Some((RunState::Done, _)) => "is done, but its model.safetensors is gone".to_owned(),
        Some((RunState::NotStarted | RunState::Stopped, _)) | None => {
            "is not done; `runner sweep` goes on with it".to_owned()
        }
    }
}

/// What ends a text before its time.
enum Stop {
    Output(io::Error),
    Memory(CpuError),
}

impl From<CpuError> for Stop {
    fn from(error: CpuError) -> Self {
        Self::Memory(error)
    }
}

/// What a run has for drawing text.
struct Run {
    sample: Sample,
    seed: u64,
    tokenizer: Tokenizer,
    decoder: Decoder,
}

impl Run {
    /// By the weights after a step, or after the last.
    fn read(dir: &RunDir, step: Option<u64>) -> Result<Self, GenerateError> {
        let spec = dir.spec().map_err(unread(dir))?;
        if spec.model.kind == ModelKind::Ngram {
            return Err(GenerateError::Counted(dir.samples()));
        }
        let weights = weights(dir, step)?;
        let tokenizer = Tokenizer::load(&dir.tokenizer()).map_err(GenerateError::Tokenizer)?;
        let vocab_size = tokenizer.vocab_size();
        let context = spec.sequence_length();
        let RunSpec {
            model: config,
            sample,
            seed,
            ..
        } = spec;
        let mut model = Model::<CpuBackend>::blank(&Cpu::default(), &config, vocab_size)?;
        model.load(&weights).map_err(GenerateError::Weights)?;
        Ok(Self {
            decoder: Decoder::new(&model, &config, vocab_size, context)?,
            sample,
            seed,
            tokenizer,
        })
    }

    /// Puts what was typed in the place of what the experiment has.
    fn overlay(&mut self, arguments: &args::Generate) -> Result<(), GenerateError> {
        fn put<T: Clone>(field: &mut T, typed: &Option<T>) {
            if let Some(typed) = typed {
                *field = typed.clone();
            }
        }
        let sample = &mut self.sample;
        if arguments.prompt.as_deref() == Some("-") {
            sample.prompt.clear();
            let read = io::stdin().read_to_string(&mut sample.prompt);
            read.map_err(GenerateError::Stdin)?;
        } else {
            put(&mut sample.prompt, &arguments.prompt);
        }
        put(&mut sample.tokens, &arguments.tokens);
        put(&mut sample.num, &arguments.num);
        put(&mut sample.temperature, &arguments.temperature);
        put(&mut sample.top_k, &arguments.top_k.map(|k| k.0));
        put(&mut sample.top_p, &arguments.top_p);
        put(&mut sample.min_p, &arguments.min_p);
        put(
            &mut sample.repetition_penalty,
            &arguments.repetition_penalty,
        );
        let stop = arguments.stop.clone();
        put(
            &mut sample.stop,
            &stop.map(|text| Some(text).filter(|text| !text.is_empty())),
        );
        put(&mut self.seed, &arguments.seed);
        Ok(())
    }
}

/// Shows the first text as it is drawn, and the others, which are drawn at the same time, after it.
struct Output<'a> {
    prompt: &'a str,
    /// Number of texts.
    num: usize,
    out: io::StdoutLock<'static>,
    /// A terminal obeys control characters, which a model may well draw.
    is_terminal: bool,
    /// The texts after the first.
    others: Vec<String>,
    ends_a_line: bool,
}

impl<'a> Output<'a> {
    fn new(sample: &'a Sample) -> Self {
        let out = io::stdout().lock();
        Self {
            prompt: &sample.prompt,
            num: sample.num,
            is_terminal: out.is_terminal(),
            out,
            others: vec![String::new(); sample.num - 1],
            ends_a_line: true,
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

    /// Says which of several texts follows.
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
        self.ends_a_line = text.ends_with('\n');
        if self.is_terminal {
            self.out.write_all(escape::visible(text).as_bytes())?;
        } else {
            self.out.write_all(text.as_bytes())?;
        }
        self.out.flush()
    }

    fn end_line(&mut self) -> io::Result<()> {
        if !self.ends_a_line {
            writeln!(self.out)?;
        }
        self.ends_a_line = true;
        self.out.flush()
    }
}
