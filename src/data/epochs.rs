//! The tokens that a run is trained on: always the same, or another encoding in each epoch.

use super::token_file::Width;
use super::tokenizer::SubwordSampler;
use super::{Corpus, DataError, Tokens};
use crate::random::Stream;
use crate::spec;
use std::io::{BufWriter, Write};

/// The name of the random stream of the segmentations.
const STREAM: &str = "segmentations";

/// The training split of a run.
///
/// With subword regularization, each epoch has its own encoding. It depends only on the seed and the
/// epoch, so an interrupted run continues with the same tokens. The length of an epoch is the number
/// of tokens in one sampled encoding, which is the same for all seeds.
#[derive(Debug)]
pub struct TrainingSplit<'a> {
    /// The encoding of the corpus.
    plain: &'a Tokens,
    /// Present with subword regularization.
    sampled: Option<SampledSplit>,
}

#[derive(Debug)]
struct SampledSplit {
    sampler: SubwordSampler,
    text: String,
    stream: Stream,
    width: Width,
    tokens_per_epoch: u64,
    tokens_per_step: u64,
    sequence_length: usize,
    /// The current epoch and its tokens.
    current: Option<(u64, Tokens)>,
}

impl<'a> TrainingSplit<'a> {
    pub fn new(spec: &spec::RunSpec, corpus: &'a Corpus) -> Result<Self, DataError> {
        let sampler = SubwordSampler::from_spec(&spec.tokenizer, &corpus.tokenizer)?;
        let tokens_per_epoch = corpus.info.sampled_train_tokens;
        let sampled = sampler
            .zip(tokens_per_epoch)
            .map(|(sampler, tokens_per_epoch)| {
                let tokens: Vec<u32> = corpus.train.iter().map(|token| token as u32).collect();
                SampledSplit {
                    sampler,
                    // Nothing is lost by decoding: a tokenizer knows every character of its training split.
                    text: corpus.tokenizer.decode(&tokens),
                    stream: Stream::new(spec.seed, STREAM),
                    width: Width::of(corpus.info.vocab_size),
                    tokens_per_epoch,
                    tokens_per_step: spec.tokens_per_step(),
                    sequence_length: spec.sequence_length(),
                    current: None,
                }
            });
        Ok(Self {
            plain: &corpus.train,
            sampled,
        })
    }

    /// The tokens from which the batch of a step is drawn. The first call in an epoch encodes the
    /// text.
    pub fn at(&mut self, step: u64) -> Result<&Tokens, DataError> {
        match &mut self.sampled {
            None => Ok(self.plain),
            Some(sampled) => sampled.at(step),
        }
    }
}

impl SampledSplit {
    fn at(&mut self, step: u64) -> Result<&Tokens, DataError> {
        let epoch = step.saturating_mul(self.tokens_per_step) / self.tokens_per_epoch;
        let tokens = match self.current.take() {
            Some((encoded, tokens)) if encoded == epoch => tokens,
            _ => self.encode(epoch)?,
        };
        Ok(&self.current.insert((epoch, tokens)).1)
    }

    /// Encodes the text for an epoch. The tokens are written to an unnamed temporary file, so that the
    /// tokens of a large text need not be in memory.
    fn encode(&self, epoch: u64) -> Result<Tokens, DataError> {
        let failed = |source| DataError::Write {
            path: std::env::temp_dir(),
            source,
        };
        let file = tempfile::tempfile().map_err(failed)?;
        let mut out = BufWriter::new(&file);
        self.sampler
            .encode(&self.text, &self.stream, epoch, &mut |tokens| {
                self.width.write(tokens, &mut out).map_err(failed)
            })?;
        out.flush().map_err(failed)?;
        drop(out);
        let tokens = Tokens::from_file(&file, self.width).map_err(failed)?;
        if tokens.len() <= self.sequence_length {
            return Err(DataError::TooShortForSequence {
                tokens: tokens.len() as u64,
                length: self.sequence_length,
            });
        }
        Ok(tokens)
    }
}

/// Number of tokens in a sampled encoding of a text: the encoding for the first epoch of seed 0.
pub(super) fn sampled_len(sampler: &SubwordSampler, text: &str) -> Result<u64, DataError> {
    let mut len = 0;
    sampler.encode(text, &Stream::new(0, STREAM), 0, &mut |tokens| {
        len += tokens.len() as u64;
        Ok(())
    })?;
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{open, plays, prepare};
    use crate::results::CorpusInfo;
    use crate::spec::{Data, RunSpec, Source, TokenizerKind};

    fn run(tokenizer: spec::Tokenizer) -> RunSpec {
        let mut spec = RunSpec {
            variant: "test".to_owned(),
            seed: 7,
            data: Data {
                source: Source::Plays,
                plays_bytes: 30_000,
                ..Data::default()
            },
            tokenizer,
            model: spec::Model::default(),
            optimizer: spec::Optimizer::default(),
            train: spec::Train::default(),
            sample: spec::Sample::default(),
        };
        spec.model.block_size = 64;
        spec
    }

    fn unigram(alpha: Option<f64>, nbest: Option<usize>) -> spec::Tokenizer {
        spec::Tokenizer {
            kind: TokenizerKind::Unigram,
            vocab_size: 300,
            alpha,
            nbest,
            ..spec::Tokenizer::default()
        }
    }

    fn bpe(dropout: f64) -> spec::Tokenizer {
        spec::Tokenizer {
            kind: TokenizerKind::Bpe,
            vocab_size: 400,
            dropout,
            ..spec::Tokenizer::default()
        }
    }

    fn ids(tokens: &Tokens) -> Vec<u32> {
        (0..tokens.len()).map(|i| tokens.get(i) as u32).collect()
    }

    #[test]
    fn each_epoch_has_its_own_encoding_of_the_same_text() {
        let text = plays::generate(1, 30_000).text;
        let root = tempfile::tempdir().unwrap();
        for tokenizer in [
            unigram(Some(0.1), None),
            unigram(Some(0.5), Some(8)),
            bpe(0.1),
        ] {
            let spec = run(tokenizer);
            let info = prepare(&spec.data, &spec.tokenizer, root.path()).unwrap();
            let corpus = open(root.path(), &info.key).unwrap();
            let sampled = info.sampled_train_tokens.unwrap();
            let epoch = sampled.div_ceil(spec.tokens_per_step());
            assert!(
                sampled > info.train_tokens,
                "{sampled} {}",
                info.train_tokens
            );

            let mut split = TrainingSplit::new(&spec, &corpus).unwrap();
            let first = ids(split.at(0).unwrap());
            assert_eq!(ids(split.at(epoch - 1).unwrap()), first);
            let second = ids(split.at(epoch).unwrap());
            assert_ne!(first, second);
            for tokens in [&first, &second] {
                assert_eq!(
                    corpus.tokenizer.decode(tokens),
                    text[..corpus.info.train_bytes as usize]
                );
                // The expected length comes from another seed, so it is only nearly the same.
                assert!(tokens.len().abs_diff(sampled as usize) < sampled as usize / 20);
            }

            // A run that resumes in the middle of the second epoch, on one thread.
            let one = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .build()
                .unwrap();
            let mut again = TrainingSplit::new(&spec, &corpus).unwrap();
            let resumed = one.install(|| again.at(epoch + 1).map(ids).unwrap());
            assert_eq!(resumed, second);
            let other = RunSpec { seed: 8, ..spec };
            let mut other = TrainingSplit::new(&other, &corpus).unwrap();
            assert_ne!(ids(other.at(0).unwrap()), first);
        }
    }

    #[test]
    fn without_subword_regularization_the_tokens_are_those_of_the_corpus() {
        let root = tempfile::tempdir().unwrap();
        for tokenizer in [unigram(None, None), bpe(0.0)] {
            let spec = run(tokenizer);
            let info = prepare(&spec.data, &spec.tokenizer, root.path()).unwrap();
            assert_eq!(info.sampled_train_tokens, None);
            let corpus = open(root.path(), &info.key).unwrap();
            let mut split = TrainingSplit::new(&spec, &corpus).unwrap();
            assert_eq!(ids(split.at(9).unwrap()), ids(&corpus.train));
        }
    }

    #[test]
    fn subword_regularization_does_not_change_the_evaluation_tokens() {
        let root = tempfile::tempdir().unwrap();
        let info = |tokenizer| {
            let spec = run(tokenizer);
            prepare(&spec.data, &spec.tokenizer, root.path()).unwrap()
        };
        let (plain, sampled) = (info(bpe(0.0)), info(bpe(0.2)));
        assert_ne!(plain.key, sampled.key);
        assert_eq!(plain.tokenizer_sha256, sampled.tokenizer_sha256);
        assert_eq!(
            CorpusInfo {
                key: plain.key.clone(),
                sampled_train_tokens: None,
                ..sampled
            },
            plain
        );
    }
}
