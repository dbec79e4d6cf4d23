use super::{Data, Every, Model, Optimizer, Sample, Tokenizer, Train};
use crate::hash::hex;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Raised when a change to the code, or to a default, changes the result of an unchanged
/// configuration, so that no run of before is taken for one of after.
const FORMAT_VERSION: u32 = 3;

/// One run, complete: nothing about it is decided later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Name of the variant.
    pub variant: String,
    /// Seed of every random stream of the run.
    pub seed: u64,
    pub data: Data,
    pub tokenizer: Tokenizer,
    pub model: Model,
    pub optimizer: Optimizer,
    pub train: Train,
    pub sample: Sample,
}

impl RunSpec {
    /// Tokens in a sequence, in training and in evaluation.
    pub fn sequence_length(&self) -> usize {
        self.train.sequence_length.unwrap_or(self.model.block_size)
    }

    /// Training tokens of one optimizer step.
    pub fn tokens_per_step(&self) -> u64 {
        (self.train.sequences_per_step() as u64).saturating_mul(self.sequence_length() as u64)
    }

    /// Number of optimizer steps, where it takes no text to know it.
    pub fn known_steps(&self) -> Option<u64> {
        match (self.train.epochs, self.train.tokens) {
            (Some(_), _) => None,
            (None, Some(tokens)) => Some(tokens.div_ceil(self.tokens_per_step())),
            (None, None) => Some(self.train.steps),
        }
    }

    /// Says in steps what the configuration says in tokens or epochs, now that the number of tokens
    /// of the training split is known.
    pub fn count_steps(&mut self, train_tokens: u64) {
        let tokens_per_step = self.tokens_per_step();
        let sequences = sequences_per_epoch(train_tokens, self.sequence_length());
        let steps_per_epoch = sequences as f64 / self.train.sequences_per_step() as f64;
        let in_epochs = |epochs: f64| ((epochs * steps_per_epoch).ceil() as u64).max(1);
        let steps = self.known_steps();
        let train = &mut self.train;
        train.steps = steps.unwrap_or_else(|| train.epochs.map_or(1, in_epochs));
        let always = [&mut train.eval_every, &mut train.checkpoint_every];
        let sometimes = train.keep_weights_every.iter_mut();
        let sometimes = sometimes.chain(&mut self.sample.every);
        for interval in always.into_iter().chain(sometimes) {
            *interval = Every::Steps(interval.in_steps(tokens_per_step, steps_per_epoch));
        }
    }

    /// The run without its name and without what does not change what it computes: how often it is
    /// saved.
    pub fn anonymous(&self) -> Self {
        let mut run = self.clone();
        run.variant.clear();
        run.train.checkpoint_every = Train::default().checkpoint_every;
        run.train.keep_weights_every = None;
        run
    }

    /// SHA-256, in hex, of what changes the result of the run: the configuration, text and tokenizer
    /// (of which `content_sha256` is a hash) and the format version. The variant's
    /// name, where the files lie and how often the run is saved are not among it.
    ///
    /// Of the configuration it takes what is not the default, so that a key that is new in a later
    /// version leaves the runs of this one what they are.
    pub fn identity(&self, content_sha256: &str) -> String {
        let mut run = self.anonymous();
        run.data = Data {
            val_fraction: self.data.val_fraction,
            ..Data::default()
        };
        run.tokenizer.path = None;
        let defaults = settings(&Self {
            variant: String::new(),
            seed: 0,
            data: Data::default(),
            tokenizer: Tokenizer::default(),
            model: Model::default(),
            optimizer: Optimizer::default(),
            train: Train::default(),
            sample: Sample::default(),
        });
        let mut settings = settings(&run);
        settings.retain(|path, value| defaults.get(path) != Some(value));
        let mut hash = Sha256::new();
        hash.update(FORMAT_VERSION.to_le_bytes());
        hash.update(content_sha256);
        for (path, value) in settings {
            hash.update(format!("{path}={value}\n"));
        }
        hex(&hash.finalize())
    }

    /// Name of the run and of its folder: `<variant>-s<seed>-<first 8 of the identity>`.
    pub fn run_name(&self, content_sha256: &str) -> String {
        format!(
            "{}-s{}-{}",
            self.variant,
            self.seed,
            &self.identity(content_sha256)[..8]
        )
    }
}

/// Every value of a run, by its path.
fn settings(run: &RunSpec) -> BTreeMap<String, String> {
    fn collect(into: &mut BTreeMap<String, String>, path: String, value: &Json) {
        match value {
            Json::Object(fields) => {
                for (key, value) in fields {
                    collect(into, format!("{path}.{key}"), value);
                }
            }
            value => drop(into.insert(path, value.to_string())),
        }
    }
    let json = serde_json::to_value(run).expect("a spec has string keys only");
    let mut settings = BTreeMap::new();
    collect(&mut settings, String::new(), &json);
    settings
}

/// Sequences of `length` tokens that a split of `tokens` is cut into, so that each of its tokens but
/// the first, which nothing foretells, is a target.
pub fn sequences_per_epoch(tokens: u64, length: usize) -> u64 {
    tokens.saturating_sub(1).div_ceil(length as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> RunSpec {
        RunSpec {
            variant: "test".to_owned(),
            seed: 1,
            data: Data::default(),
            tokenizer: Tokenizer::default(),
            model: Model {
                block_size: 10,
                ..Model::default()
            },
            optimizer: Optimizer::default(),
            train: Train {
                batch_size: 2,
                accumulate: 2,
                ..Train::default()
            },
            sample: Sample::default(),
        }
    }

    fn counted(change: impl Fn(&mut Train)) -> Train {
        let mut spec = spec();
        change(&mut spec.train);
        // 101 tokens are 10 sequences of 10 and a step has 4.
        spec.count_steps(101);
        spec.train
    }

    #[test]
    fn a_length_is_as_many_steps_as_it_takes() {
        assert_eq!(counted(|_| {}).steps, 500);
        assert_eq!(counted(|train| train.tokens = Some(400)).steps, 10);
        assert_eq!(counted(|train| train.tokens = Some(401)).steps, 11);
        assert_eq!(counted(|train| train.epochs = Some(1.0)).steps, 3);
        assert_eq!(counted(|train| train.epochs = Some(2.0)).steps, 5);
        assert_eq!(counted(|train| train.epochs = Some(1e-6)).steps, 1);
    }

    #[test]
    fn intervals_are_counted_in_steps_too() {
        let train = counted(|train| {
            train.eval_every = Every::Epochs(2.0);
            train.checkpoint_every = Every::Tokens(120);
            train.keep_weights_every = Some(Every::Epochs(1.0));
        });
        assert_eq!(train.eval_every, Every::Steps(5));
        assert_eq!(train.checkpoint_every, Every::Steps(3));
        assert_eq!(train.keep_weights_every, Some(Every::Steps(3)));
        let mut again = spec();
        again.train = train.clone();
        again.count_steps(101);
        assert_eq!(again.train, train);
    }

    #[test]
    fn each_token_but_the_first_is_a_target_in_an_epoch() {
        assert_eq!(sequences_per_epoch(101, 10), 10);
        assert_eq!(sequences_per_epoch(102, 10), 11);
        assert_eq!(sequences_per_epoch(11, 10), 1);
    }

    /// A finished run is not trained again because of how it is called, found or saved.
    #[test]
    fn an_identity_is_of_what_changes_the_result() {
        let identity = |change: &dyn Fn(&mut RunSpec)| {
            let mut spec = spec();
            change(&mut spec);
            spec.identity("text")
        };
        let same = identity(&|_| {});
        assert_eq!(identity(&|run| run.variant = "other".to_owned()), same);
        assert_eq!(
            identity(&|run| run.data.source = crate::spec::Source::Names),
            same
        );
        assert_eq!(
            identity(&|run| run.train.keep_weights_every = Some(Every::Steps(2))),
            same
        );
        let changes: [&dyn Fn(&mut RunSpec); 4] = [
            &|run| run.seed = 2,
            &|run| run.train.steps += 1,
            &|run| run.optimizer.lr *= 2.0,
            &|run| run.model.bias_in.head = !run.model.bias_in.head,
        ];
        let mut seen = vec![same];
        for change in changes {
            let changed = identity(change);
            assert!(!seen.contains(&changed));
            seen.push(changed);
        }
    }
}
