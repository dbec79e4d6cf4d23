use super::args;
use super::find_run::find_run;
use super::generate_error::GenerateError;
use super::saved_model::load_model;
use super::{Error, Exit};
use crate::config::load_run;
use crate::data::Tokenizer;
use crate::model::{Decoder, generate, prompt_tokens};
use crate::results::RunDir;
use crate::spec::{ModelKind, RunSpec, Sample};
use crate::text::escape;
use dfdx::prelude::CpuError;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};

pub(super) fn run(arguments: &args::Generate) -> Result<Exit, Error> {
    if !arguments.more_runs.is_empty() {
        let runs = [vec![arguments.run.clone()], arguments.more_runs.clone()].concat();
        return Err(GenerateError::SeveralRuns(runs).into());
    }
    let dir = find_run(&arguments.results, &arguments.run)?;
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
        if spec.model.kind == ModelKind::Ngram {
            return Err(GenerateError::Ngram(dir.samples_markdown()));
        }
        let (model, tokenizer) = load_model(dir, &spec, step)?;
        let (vocab_size, context) = (tokenizer.vocab_size(), spec.sequence_length());
        Ok(Self {
            decoder: Decoder::new(&model, &spec.model, vocab_size, context)?,
            sample: spec.sample,
            seed: spec.seed,
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
