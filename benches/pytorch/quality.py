"""Trains the same model in PyTorch and in `runner` and compares the validation losses.

`baby` on tiny-shakespeare, by character, as quality.yaml says: the first nine tenths of the text to
train on, and the loss over all of the last tenth. The two draw initial weights and batches from the
same distributions, but not the same numbers: what is compared is means over seeds.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev

import torch

from bench import Trainer
from common import LEARNING_RATE, VOCAB_SIZE
from training import cosine_schedule, evaluate

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SIZE = "baby"
TRAIN_FRACTION = 0.9
WARM_UP_STEPS = 100
MIN_LEARNING_RATE = 1e-4


def encode(text: str) -> torch.Tensor:
    """Character tokenizer. Token ids follow the order of the code points."""
    tokens = {character: token for token, character in enumerate(sorted(set(text)))}
    if len(tokens) != VOCAB_SIZE:
        sys.exit(f"tiny-shakespeare has {VOCAB_SIZE} characters, and this text {len(tokens)}")
    return torch.tensor([tokens[character] for character in text])


def train_pytorch(tokens: torch.Tensor, seed: int, steps: int) -> float:
    """Validation loss at the end of training."""
    split = int(len(tokens) * TRAIN_FRACTION)
    train, val = tokens[:split], tokens[split:]
    trainer = Trainer(SIZE, seed=seed, text=train)
    trainer.use("fused")
    for step in range(steps):
        for group in trainer.optimizer.param_groups:
            group["lr"] = cosine_schedule(step, steps, LEARNING_RATE, WARM_UP_STEPS, MIN_LEARNING_RATE)
        trainer.step()
    return evaluate(trainer.model, train[-1], val, trainer.block_size)


def train_runner(runner: Path, text: Path, seeds: list[int], steps: int) -> list[float]:
    """Validation loss at the end of training, for each seed."""
    with tempfile.TemporaryDirectory() as results:
        overrides = [f"data.source={text}", f"train.steps={steps}", f"sweep.seeds={seeds}"]
        command = [runner, "sweep", HERE / "quality.yaml", *overrides, "--results", results]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(Path(results) / "quality" / "summary.csv", newline="") as summary:
            return [float(row["val_loss"]) for row in csv.DictReader(summary)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path, help="the file of tiny-shakespeare")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3], help="default: 1 2 3")
    parser.add_argument("--steps", type=int, default=2000, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch; default: %(default)s")
    parser.add_argument("--runner", type=Path, default=ROOT / "target/release/runner", help="default: %(default)s")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    tokens = encode(arguments.text.read_text())
    losses = {"runner": train_runner(arguments.runner, arguments.text.resolve(), arguments.seeds, arguments.steps)}
    losses["PyTorch"] = []
    for seed in arguments.seeds:
        losses["PyTorch"].append(train_pytorch(tokens, seed, arguments.steps))
        print(f"PyTorch, seed {seed}: {losses['PyTorch'][-1]:.4f}", file=sys.stderr)

    print(f"Validation loss after {arguments.steps} steps, nats a character\n")
    print("| | Mean | Standard deviation | Seeds |\n|:--|--:|--:|:--|")
    for name, values in losses.items():
        spread = f"{stdev(values):.4f}" if len(values) > 1 else ""
        print(f"| {name} | {mean(values):.4f} | {spread} | {', '.join(f'{value:.4f}' for value in values)} |")


if __name__ == "__main__":
    main()
