//! Estimated memory of a run on the CPU, from the blocks that its parts allocate. Left out are evaluations on
//! the training split (`eval_train`), a text that is tokenized anew for each epoch, and the checkpoint that
//! Ctrl-C writes.

use super::evaluation::CHUNK_TOKENS;
use super::optim;
use super::parallel::uses_thread_team;
use super::step_batch::shard_count;
use crate::kernels::Heads;
use crate::model::Size;
use crate::results::CorpusInfo;
use crate::spec::{Model, ModelKind, RunSpec};

/// Memory of a process with a model of a few thousand parameters, in MiB: the program, its libraries, and the
/// first pages of the allocator.
const BASE_MB: f64 = 32.0;
/// Memory of the tokenizer for each token, in MiB: its tables take 80 MiB for the 50,257 tokens of GPT-2.
const TOKEN_MB: f64 = 80.0 / 50_257.0;
/// Memory of a thread that computes a GPT, besides its blocks, in MiB. mimalloc gives every thread a page of
/// 4 MiB for each size of block between 64 KiB and 512 KiB. The activations of a GPT have about three: they
/// are as wide as the model, as queries with keys and values, and as the MLP.
const THREAD_MB: f64 = 3.0 * 4.0;
/// Bytes of a MiB.
const MIB: f64 = (1 << 20) as f64;
/// Bytes of a number.
const FLOAT: f64 = 4.0;
/// Rows whose logits the head of a GPT keeps at a time.
const HEAD_ROWS: f64 = 64.0;

/// Estimated memory of a run, in MiB. The blocks of a step and of an evaluation add up, because the allocator
/// keeps freed blocks, and those of another size do not fit. In measurements of 4 thousand to 11 million
/// parameters on one and two threads, the estimate was 0.75 to 1.25 times the peak.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MemoryEstimate {
    /// The process, its text and tokenizer, the weights with their average, and the states of the optimizer.
    pub fixed: f64,
    /// What each active thread keeps besides its blocks.
    pub thread: f64,
    /// The gradients of all shards of a step, if none is shared.
    pub gradients: f64,
    /// What is saved if the shards share the gradients of large weights.
    pub saved_by_sharing: f64,
    /// The activations of a shard.
    pub shard: f64,
    pub shards: usize,
    /// The activations of a chunk of an evaluation.
    pub chunk: f64,
    pub chunks: usize,
    /// The copies of everything that is saved.
    pub saving: f64,
}

impl MemoryEstimate {
    pub(super) fn new(spec: &RunSpec, corpus: &CorpusInfo, size: &Size) -> Self {
        let (model, train) = (&spec.model, &spec.train);
        let sequence = spec.sequence_length();
        let weights = size.params as f64 * FLOAT / MIB;
        let shared = size.params_with_shared_gradients as f64 * FLOAT / MIB;
        let states = optim::state_count(spec.optimizer.kind).max as f64;
        let average = if train.ema.is_some() { 1.0 } else { 0.0 };
        let kept = weights * (1.0 + states + average);
        let bytes_per_token = if corpus.vocab_size <= 1 << 16 {
            2.0
        } else {
            4.0
        };
        let text = (corpus.train_tokens + corpus.val_tokens) as f64 * bytes_per_token / MIB;
        let shards = shard_count(train.batch_size, sequence);
        let shard_rows = train.batch_size.saturating_mul(sequence).div_ceil(shards);
        let chunk_rows = CHUNK_TOKENS.max(sequence).min(corpus.val_tokens as usize);
        Self {
            fixed: BASE_MB + text + corpus.vocab_size as f64 * TOKEN_MB + kept,
            thread: match model.kind {
                ModelKind::Gpt => THREAD_MB,
                ModelKind::Bigram | ModelKind::Ngram => 0.0,
            },
            gradients: shards as f64 * weights,
            saved_by_sharing: (shards - 1) as f64 * shared,
            shard: trained_floats(model, corpus.vocab_size, shard_rows as f64, sequence) * FLOAT
                / MIB,
            shards,
            chunk: evaluated_floats(model, corpus.vocab_size, chunk_rows as f64) * FLOAT / MIB,
            chunks: (corpus.val_tokens as usize).div_ceil(chunk_rows.max(1)),
            // A file is written from two copies of one parameter after another.
            saving: 2.0 * size.largest_parameter as f64 * FLOAT / MIB,
        }
    }

    /// Peak memory with `threads` threads.
    pub fn on(&self, threads: usize) -> f64 {
        let in_step = self.shards.min(threads);
        let in_evaluation = self.chunks.min(threads);
        // Without the team, a step is computed by other threads than an evaluation.
        let (gradients, active) = match uses_thread_team(self.shards, threads) {
            true => (
                self.gradients - self.saved_by_sharing,
                in_step.max(in_evaluation),
            ),
            false => (self.gradients, in_step + in_evaluation - 1),
        };
        let computing = gradients + in_step as f64 * self.shard + in_evaluation as f64 * self.chunk;
        self.fixed + active as f64 * self.thread + computing.max(self.saving)
    }
}

/// Numbers that the forward pass of a shard of so many rows keeps for the backward pass.
fn trained_floats(model: &Model, vocab_size: usize, rows: f64, sequence: usize) -> f64 {
    match model.kind {
        // The logits, their gradient, and the gradient of the rows of the table.
        ModelKind::Bigram => rows * 3.0 * vocab_size as f64,
        ModelKind::Ngram => 0.0,
        ModelKind::Gpt => {
            let Columns { c, qkv, mlp } = Columns::of(model);
            // Two norms, attention and its product, the product of the MLP.
            let scores = match model.dropout > 0.0 {
                true => 0,
                false => Heads::new(model.n_head, sequence).stored_scores(),
            };
            let layer = 5.0 * c + qkv + mlp + scores as f64;
            // The embedding, the last norm and its gradient.
            let ends = 3.0 * c;
            rows * (model.n_layer as f64 * layer + ends) + head_floats(vocab_size, c)
        }
    }
}

/// Numbers that an evaluation of so many rows has in memory at the same time.
fn evaluated_floats(model: &Model, vocab_size: usize, rows: f64) -> f64 {
    match model.kind {
        ModelKind::Bigram => rows * 2.0 * vocab_size as f64,
        ModelKind::Ngram => 0.0,
        ModelKind::Gpt => {
            let Columns { c, qkv, mlp } = Columns::of(model);
            // The residual stream and its norm, and either attention or the MLP.
            rows * (2.0 * c + (qkv + c).max(mlp)) + HEAD_ROWS * vocab_size as f64
        }
    }
}

/// Some rows of logits, and the gradient of the weights of the head.
fn head_floats(vocab_size: usize, c: f64) -> f64 {
    vocab_size as f64 * (HEAD_ROWS + c)
}

/// Widths of the activations of a GPT.
struct Columns {
    /// The residual stream.
    c: f64,
    /// Queries, keys and values.
    qkv: f64,
    /// The MLP before and after its activation function.
    mlp: f64,
}

impl Columns {
    fn of(model: &Model) -> Self {
        let (c, hidden) = (model.n_embd as f64, model.mlp_width() as f64);
        let kv = model.kv_heads() as f64 * model.head_size() as f64;
        Self {
            c,
            qkv: c + 2.0 * kv,
            mlp: hidden * if model.mlp.gated() { 3.0 } else { 2.0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::testing::plan_of;

    #[test]
    fn parts_of_a_small_gpt_are_those_computed_by_hand() {
        // A text of 9000 and 1000 tokens with a vocabulary of 65.
        let plan = plan_of(
            "{name: x, model: {n_layer: 2, n_head: 2, n_embd: 32, block_size: 64}, \
             train: {batch_size: 16, checkpoint_every: 100}}",
        );
        let (spec, corpus) = (&plan.runs[0].spec, &plan.corpora[0]);
        // 1 MiB of weights, a quarter of them large.
        let size = Size {
            params: 1 << 18,
            params_non_embedding: 1 << 18,
            params_with_shared_gradients: 1 << 16,
            largest_parameter: 1 << 16,
            flops_per_token: 1.0,
        };
        let memory = MemoryEstimate::new(spec, corpus, &size);
        let assert_close = |estimated: f64, by_hand: f64| {
            let difference = (estimated - by_hand).abs();
            assert!(difference < 1e-3, "{estimated} instead of {by_hand}");
        };
        // The process is 32, and the weights with two states of AdamW are 3. The text is 10,000 tokens of 2
        // bytes: 0.0191. The tokenizer is 65 / 50,257 * 80 = 0.1035.
        assert_close(memory.fixed, 35.1226);
        // The 1024 rows of a step are 4 shards of 256, each with gradients for all weights.
        assert_eq!((memory.shards, memory.gradients), (4, 4.0));
        // One gradient of the large weights is enough.
        assert_eq!(memory.saved_by_sharing, 0.75);
        // The widths are 32 for the residual stream, 96 for queries, keys and values, and 2 * 128 for the MLP.
        // A layer keeps 5 * 32 + 96 + 256 = 512 numbers of a row and 2 * 64 scores, and the ends 3 * 32 = 96. Those
        // are 256 * (2 * 640 + 96) = 352,256. The head adds 65 * (64 + 32) = 6240. In all, 358,496 * 4 bytes.
        assert_close(memory.shard, 1.3676);
        // An evaluation has one chunk of 1000 rows, each with 2 * 32 + max(96 + 32, 256) = 320 numbers, and
        // 64 * 65 = 4160 logits. In all, 324,160 * 4 bytes.
        assert_eq!(memory.chunks, 1);
        assert_close(memory.chunk, 1.2366);
        // Two copies of the largest parameter.
        assert_eq!(memory.saving, 0.5);
        // Two shards at a time: 35.1226 + 2 * 12 + 4 - 0.75 + 2 * 1.3676 + 1.2366.
        assert_close(memory.on(2), 66.3443);
    }

    #[test]
    fn threads_beyond_the_parts_of_the_work_need_no_memory() {
        let memory = MemoryEstimate {
            fixed: 100.0,
            thread: 12.0,
            gradients: 8.0,
            saved_by_sharing: 4.0,
            shard: 5.0,
            shards: 2,
            chunk: 3.0,
            chunks: 4,
            saving: 40.0,
        };
        // With one and two threads, the copies that are saved take more than a step.
        assert_eq!(memory.on(1), 100.0 + 12.0 + 40.0);
        assert_eq!(memory.on(2), 100.0 + 2.0 * 12.0 + 40.0);
        let unsaved = MemoryEstimate {
            saving: 0.0,
            ..memory
        };
        assert_eq!(unsaved.on(1), 100.0 + 12.0 + (8.0 - 4.0) + 5.0 + 3.0);
        // Two threads of rayon, and four of the team, to which one of them belongs.
        let most = 100.0 + 5.0 * 12.0 + 8.0 + 2.0 * 5.0 + 4.0 * 3.0;
        assert_eq!(unsaved.on(4), most);
        assert_eq!(unsaved.on(16), most);
    }
}
