use super::slow_notice::notify_if_slow;
use crate::data::{self, DataError};
use crate::results::CorpusInfo;
use crate::spec::RunSpec;
use crate::text::terminal::print_note;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

/// Time after which the user is told that a text is being read.
const NOTICE_DELAY: Duration = Duration::from_secs(1);

/// The corpora of a sweep. Each distinct (data, tokenizer) pair is prepared once.
pub(super) struct Corpora<'a> {
    cache: &'a Path,
    pub(super) infos: Vec<CorpusInfo>,
    /// Indices of the corpora by their keys.
    by_key: HashMap<String, usize>,
    /// The pairs so far, as text, with the index of their corpus unless they were refused. A sweep can have
    /// thousands of pairs.
    seen: HashMap<String, Option<usize>>,
    /// Tokenizers that were read, by the index of their corpus.
    tokenizers: Vec<Option<data::Tokenizer>>,
    /// Why a prompt cannot be encoded, if so, by the index of the corpus and the prompt.
    prompts: HashMap<(usize, String), Option<String>>,
    /// What was said. Several corpora of the same text have the same notes.
    said: HashSet<String>,
}

/// What became of the corpus of a run.
pub(super) enum Prepared {
    /// Index into the corpora.
    Ready(usize),
    Refused(DataError),
    /// The same pair was refused, and reported, for an earlier run.
    RefusedBefore,
}

impl<'a> Corpora<'a> {
    pub(super) fn new(cache: &'a Path) -> Self {
        Self {
            cache,
            infos: Vec::new(),
            by_key: HashMap::new(),
            seen: HashMap::new(),
            tokenizers: Vec::new(),
            prompts: HashMap::new(),
            said: HashSet::new(),
        }
    }

    /// Prepares the corpus of a run, unless another run has the same.
    pub(super) fn prepare(&mut self, spec: &RunSpec) -> Prepared {
        let pair = serde_json::to_string(&(&spec.data, &spec.tokenizer))
            .expect("settings have string keys only");
        if let Some(corpus) = self.seen.get(&pair) {
            return corpus.map_or(Prepared::RefusedBefore, Prepared::Ready);
        }
        let notify = || {
            print_note(&preparing(spec));
        };
        let said = &mut self.said;
        let mut say = |note: &str| {
            if said.insert(note.to_owned()) {
                print_note(note);
            }
        };
        let result = notify_if_slow(NOTICE_DELAY, notify, || {
            data::prepare_with_notices(&spec.data, &spec.tokenizer, self.cache, &mut say)
        });
        let prepared = match result {
            Ok(info) => Prepared::Ready(self.add(info)),
            Err(error) => Prepared::Refused(error),
        };
        let corpus = match prepared {
            Prepared::Ready(corpus) => Some(corpus),
            _ => None,
        };
        self.seen.insert(pair, corpus);
        prepared
    }

    /// The tokenizer of a corpus, which is read on first use: reading a large one takes long.
    fn tokenizer(&mut self, corpus: usize) -> Result<&data::Tokenizer, DataError> {
        if self.tokenizers.len() <= corpus {
            self.tokenizers.resize_with(corpus + 1, || None);
        }
        let slot = &mut self.tokenizers[corpus];
        if slot.is_none() {
            *slot = Some(data::open(self.cache, &self.infos[corpus].key)?.tokenizer);
        }
        Ok(slot.as_ref().expect("the tokenizer was just read"))
    }

    /// Adds a corpus. Pairs that differ only in values without effect are one corpus.
    fn add(&mut self, info: CorpusInfo) -> usize {
        let new = self.infos.len();
        let corpus = *self.by_key.entry(info.key.clone()).or_insert(new);
        if corpus == new {
            self.infos.push(info);
        }
        corpus
    }

    /// Why a prompt cannot be encoded, if so.
    ///
    /// # Errors
    /// If the tokenizer cannot be read.
    pub(super) fn prompt_error(
        &mut self,
        corpus: usize,
        prompt: &str,
    ) -> Result<Option<String>, DataError> {
        let key = (corpus, prompt.to_owned());
        if let Some(known) = self.prompts.get(&key) {
            return Ok(known.clone());
        }
        let error = self.tokenizer(corpus)?.encode(prompt).err();
        let error = error.map(|error| error.to_string());
        self.prompts.insert(key, error.clone());
        Ok(error)
    }
}

/// The notice while a corpus is being prepared.
fn preparing(spec: &RunSpec) -> String {
    let source = &spec.data.source;
    let kind = spec.tokenizer.kind;
    if kind.has_trained_vocabulary() {
        format!("reading {source} and training a {kind} tokenizer on it")
    } else {
        format!("reading {source} and encoding it")
    }
}
