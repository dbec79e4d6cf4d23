use super::{
    Data, Every, Model, Optimizer, Precision, RunSettings, Sample, Tokenizer, Train, TrainingLength,
};
use crate::hash::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Increased when a change to the code or to a default changes the result of an unchanged
/// configuration, so that runs of the earlier version are not taken for runs of the later one.
const FORMAT_VERSION: u32 = 4;

/// The same for runs in bfloat16.
const BF16_VERSION: u32 = 2;

/// One run. It is complete: everything that decides its result is in it.
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
    /// Number of tokens in a sequence, in training and in evaluation.
    pub fn sequence_length(&self) -> usize {
        self.train.sequence_length.unwrap_or(self.model.block_size)
    }

    /// Number of training tokens of one optimizer step.
    pub fn tokens_per_step(&self) -> u64 {
        (self.train.sequences_per_step() as u64).saturating_mul(self.sequence_length() as u64)
    }

    /// Number of optimizer steps; `None` if it depends on the data, its vocabulary or the
    /// machine.
    pub fn known_steps(&self) -> Option<u64> {
        match self.train.length() {
            TrainingLength::Epochs(_) | TrainingLength::Flops(_) | TrainingLength::Seconds(_) => {
                None
            }
            TrainingLength::Tokens(tokens) => Some(tokens.div_ceil(self.tokens_per_step().max(1))),
            TrainingLength::Steps(steps) => Some(steps),
        }
    }

    /// Converts lengths in tokens, epochs and FLOPs into steps, given the number of tokens of the
    /// training split and the FLOPs per token, forward and backward.
    pub fn count_steps(&mut self, train_tokens: u64, flops_per_token: f64) {
        let tokens_per_step = self.tokens_per_step();
        let sequences = sequences_per_epoch(train_tokens, self.sequence_length());
        let steps_per_epoch = sequences as f64 / self.train.sequences_per_step() as f64;
        let train = &mut self.train;
        let length = train.length();
        let steps = length.in_steps(tokens_per_step, steps_per_epoch, flops_per_token);
        train.steps = steps.unwrap_or(train.steps); // it has no effect with a length in seconds
        let checkpoints = &mut train.checkpoint_every;
        *checkpoints = checkpoints.in_steps(tokens_per_step, steps_per_epoch);
        let optional = train.save_every.iter_mut().chain(&mut self.sample.every);
        for interval in optional.chain([&mut train.eval_every]) {
            *interval = Every::Steps(interval.in_steps(tokens_per_step, steps_per_epoch));
        }
    }

    /// The run without the name of its variant and without what does not change its result: how often
    /// checkpoints and weights are saved.
    fn anonymous(&self) -> Self {
        let mut run = self.clone();
        run.variant.clear();
        run.train.checkpoint_every = Train::default().checkpoint_every;
        run.train.save_every = None;
        run
    }

    /// The settings that decide the result. They are equal for runs with the same configuration,
    /// whatever their variants are called.
    pub fn result_settings(&self) -> RunSettings {
        let mut run = self.anonymous();
        run.data.max_bytes = 0; // a limit, which does not change the result either
        RunSettings::of(&run)
    }

    /// SHA-256, in hex, of everything that decides the result of the run: the configuration, the text
    /// and the tokenizer (`content_sha256` is a hash of these two), and the format version. It does not
    /// depend on the name of the variant, on paths, or on how often the run is saved.
    ///
    /// Only settings that differ from their default are hashed, so that a key that is added in a later
    /// version does not change the identity of existing runs.
    pub fn identity(&self, content_sha256: &str) -> String {
        let mut run = self.anonymous();
        run.data = Data {
            val_fraction: self.data.val_fraction,
            test_fraction: self.data.test_fraction,
            ..Data::default()
        };
        run.tokenizer.path = None;
        let mut settings = RunSettings::of(&run).by_first_name();
        settings.retain(|path, value| DEFAULTS.get(path) != Some(value));
        let mut hash = Sha256::new();
        hash.update(FORMAT_VERSION.to_le_bytes());
        hash.update(content_sha256);
        if self.train.precision == Precision::Bf16 {
            hash.update(format!("sums in bfloat16: {BF16_VERSION}\n"));
        }
        for (path, value) in settings {
            hash.update(format!("{path}={value}\n"));
        }
        hex(&hash.finalize())
    }

    /// Name of the run and of its folder, given its identity: `<variant>-s<seed>-<first 8 digits of
    /// the identity>`.
    pub fn run_name(&self, identity: &str) -> String {
        let short = identity.get(..8).unwrap_or(identity);
        format!("{}-s{}-{short}", self.variant, self.seed)
    }
}

/// The settings of a run that sets nothing.
static DEFAULTS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
    let run = RunSpec {
        variant: String::new(),
        seed: 0,
        data: Data::default(),
        tokenizer: Tokenizer::default(),
        model: Model::default(),
        optimizer: Optimizer::default(),
        train: Train::default(),
        sample: Sample::default(),
    };
    RunSettings::of(&run).by_first_name()
});

/// Number of sequences of `length` tokens that a split of `tokens` tokens is divided into. Each token
/// except the first is a target of one sequence.
pub fn sequences_per_epoch(tokens: u64, length: usize) -> u64 {
    tokens
        .saturating_sub(1)
        .div_ceil(length.max(1) as u64)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::CheckpointInterval;

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
                gradient_accumulation_steps: 2,
                ..Train::default()
            },
            sample: Sample::default(),
        }
    }

    fn counted(change: impl Fn(&mut Train)) -> Train {
        let mut spec = spec();
        change(&mut spec.train);
        // 101 tokens are 10 sequences of 10 and a step has 4.
        spec.count_steps(101, 10.0);
        spec.train
    }

    #[test]
    fn lengths_are_rounded_up_to_steps() {
        assert_eq!(counted(|_| {}).steps, 500);
        assert_eq!(counted(|train| train.tokens = Some(400)).steps, 10);
        assert_eq!(counted(|train| train.tokens = Some(401)).steps, 11);
        assert_eq!(counted(|train| train.epochs = Some(1.0)).steps, 3);
        assert_eq!(counted(|train| train.epochs = Some(2.0)).steps, 5);
        assert_eq!(counted(|train| train.epochs = Some(1e-6)).steps, 1);
        // A step has 40 tokens and 400 FLOPs.
        assert_eq!(counted(|train| train.flops = Some(4000.0)).steps, 10);
        assert_eq!(counted(|train| train.flops = Some(4001.0)).steps, 11);
        assert_eq!(counted(|train| train.flops = Some(1.0)).steps, 1);
        let timed = counted(|train| train.seconds = Some(60.0));
        assert_eq!((timed.steps, timed.planned_steps()), (500, None));
    }

    #[test]
    fn intervals_are_converted_into_steps() {
        let train = counted(|train| {
            train.eval_every = Every::Epochs(2.0);
            train.checkpoint_every = CheckpointInterval::Every(Every::Tokens(120));
            train.save_every = Some(Every::Epochs(1.0));
        });
        assert_eq!(train.eval_every, Every::Steps(5));
        let three = CheckpointInterval::Every(Every::Steps(3));
        assert_eq!(train.checkpoint_every, three);
        assert_eq!(train.save_every, Some(Every::Steps(3)));
        let mut again = spec();
        again.train = train.clone();
        again.count_steps(101, 10.0);
        assert_eq!(again.train, train);
    }

    #[test]
    fn each_token_except_the_first_is_a_target_in_an_epoch() {
        assert_eq!(sequences_per_epoch(101, 10), 10);
        assert_eq!(sequences_per_epoch(102, 10), 11);
        assert_eq!(sequences_per_epoch(11, 10), 1);
    }

    /// A finished run is not trained again because its name, a path or a save interval changed.
    #[test]
    fn an_identity_depends_on_what_changes_the_result() {
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
            identity(&|run| run.train.save_every = Some(Every::Steps(2))),
            same
        );
        let changes: [&dyn Fn(&mut RunSpec); 4] = [
            &|run| run.seed = 2,
            &|run| run.train.steps += 1,
            &|run| run.optimizer.lr *= 2.0,
            &|run| run.model.bias_overrides.head = !run.model.bias_overrides.head,
        ];
        let mut seen = vec![same];
        for change in changes {
            let changed = identity(change);
            assert!(!seen.contains(&changed));
            seen.push(changed);
        }
    }
}
