"""Trains the variants of end_to_end.yaml with three seeds in PyTorch, one run after the other, in the way of nanoGPT.

Writes to a folder: the weights and a sample of each run, and results-I.csv with a line for each run, for part I of the runs.
"""

import argparse
import csv
from pathlib import Path
from time import perf_counter

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn

from common import BETAS, GRAD_CLIP, SIZES, WEIGHT_DECAY, Config
from generate import generate
from model import Bigram, Gpt
from training import cosine_schedule, evaluate

VARIANTS = {
    "gpt": {},
    "rmsnorm": {"norm": "rmsnorm"},
    "swiglu": {"mlp": "swiglu"},
    "rope": {"positions": "rotary"},
    "llama": {"norm": "rmsnorm", "mlp": "swiglu", "positions": "rotary"},
    "bigram": {},
}
SEEDS = (1, 2, 3)
VAL_FRACTION = 0.02
BPE_VOCAB_SIZE = 512
LEARNING_RATE, WARMUP_STEPS = 8e-3, 100
EVAL_EVERY = 100
SAMPLE_TOKENS = 300


class Characters:
    """Token ids follow the order of the code points."""

    def __init__(self, text: str):
        self.characters = sorted(set(text))
        self.ids = {character: token for token, character in enumerate(self.characters)}

    def encode(self, text: str) -> list[int]:
        return [self.ids[character] for character in text]

    def decode(self, tokens: list[int]) -> str:
        return "".join(self.characters[token] for token in tokens)

    def vocab_size(self) -> int:
        return len(self.characters)


class Bpe:
    """Byte-level BPE, trained as in src/data/tokenizer/bpe.rs."""

    def __init__(self, text: str):
        self.tokenizer = Tokenizer(models.BPE())
        self.tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        self.tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=BPE_VOCAB_SIZE, min_frequency=1, initial_alphabet=alphabet, show_progress=False
        )
        self.tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)

    def encode(self, text: str) -> list[int]:
        # The library encodes the texts of a list in parallel, which is faster than one long text.
        lines = self.tokenizer.encode_batch_fast(text.splitlines(keepends=True))
        return [token for line in lines for token in line.ids]

    def decode(self, tokens: list[int]) -> str:
        return self.tokenizer.decode(tokens)

    def vocab_size(self) -> int:
        return self.tokenizer.get_vocab_size()


class Corpus:
    def __init__(self, text: str, size: str):
        split = int(len(text) * (1 - VAL_FRACTION))
        self.tokenizer = (Characters if size == "names" else Bpe)(text[:split])
        self.train = torch.tensor(self.tokenizer.encode(text[:split]))
        self.val = torch.tensor(self.tokenizer.encode(text[split:]))


def new_model(variant: str, size: str, vocab_size: int) -> nn.Module:
    n_layer, n_head, n_embd, block_size, _ = SIZES[size]
    if variant == "bigram":
        return Bigram(vocab_size)
    return Gpt(Config(n_layer, n_head, n_embd, block_size, vocab_size, **VARIANTS[variant]))


def train(variant: str, seed: int, corpus: Corpus, arguments: argparse.Namespace) -> dict:
    """Trains one run, writes its weights and its sample, and returns its line of the results."""
    started = perf_counter()
    torch.manual_seed(seed)
    *_, block_size, batch_size = SIZES[arguments.size]
    model = new_model(variant, arguments.size, corpus.tokenizer.vocab_size())
    loss = torch.compile(model) if arguments.compile else model
    optimizer = torch.optim.AdamW(model.parameter_groups(WEIGHT_DECAY), betas=BETAS, fused=True)
    window = torch.arange(block_size + 1)

    for step in range(arguments.steps):
        if step % EVAL_EVERY == 0:
            report_loss(evaluate(model, corpus.train[-1], corpus.val, block_size), variant, seed, step)
        for group in optimizer.param_groups:
            group["lr"] = cosine_schedule(step, arguments.steps, LEARNING_RATE, WARMUP_STEPS, min_lr=0.0)
        starts = torch.randint(len(corpus.train) - block_size, (batch_size, 1))
        batch = corpus.train[starts + window]  # (B, T + 1)
        loss(batch[:, :-1], batch[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), GRAD_CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    val_loss = evaluate(model, corpus.train[-1], corpus.val, block_size)
    report_loss(val_loss, variant, seed, arguments.steps)
    prompt = corpus.tokenizer.encode("\n")[0]
    sample = generate(model, block_size, SAMPLE_TOKENS, prompt)[0]
    (arguments.out / f"{variant}-s{seed}.txt").write_text(corpus.tokenizer.decode(sample.tolist()))
    torch.save(model.state_dict(), arguments.out / f"{variant}-s{seed}.pt")
    return {"variant": variant, "seed": seed, "val_loss": val_loss, "seconds": perf_counter() - started}


def report_loss(loss: float, variant: str, seed: int, step: int) -> None:
    print(f"{variant}, seed {seed}, step {step}: {loss:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--size", choices=("ablation", "names"), default="ablation", help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=500, help="default: %(default)s")
    parser.add_argument("--compile", action="store_true", help="train with torch.compile")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--part", type=int, nargs=2, default=(1, 1), metavar=("I", "N"), help="only part I of N")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    corpus = Corpus(arguments.text.read_text(), arguments.size)
    part, parts = arguments.part
    runs = [(variant, seed) for variant in VARIANTS for seed in SEEDS][part - 1 :: parts]
    rows = []
    for number, (variant, seed) in enumerate(runs):
        if number > 0 and variant != runs[number - 1][0]:
            # TorchDynamo keeps at most eight compiled versions of a function. The seeds of a variant share one.
            torch.compiler.reset()
        rows.append(train(variant, seed, corpus, arguments))
    with open(arguments.out / f"results-{part}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=rows[0])
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
