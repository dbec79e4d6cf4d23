"""Measures training steps of the GPT in model.py and prints one line of JSON, as `cargo bench --bench step` does.

A step is a random batch, forward, backward, clipping, AdamW and setting the gradients to none.
"""

import argparse
import json
import resource
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
from torch import Tensor

from model import Config, Gpt

VOCAB_SIZE = 65
LEARNING_RATE = 1e-3
BETAS = (0.9, 0.99)
WEIGHT_DECAY = 0.1
GRAD_CLIP = 1.0
WARM_UP = 5

# As in benches/step.rs: steps and matrix products alternate.
SLICES = 10
PRODUCTS_SHARE = 0.25

# (n_layer, n_head, n_embd, block_size, batch_size), as in benches/setup/mod.rs.
SIZES = {
    "names": (2, 4, 32, 16, 32),
    "baby": (4, 4, 128, 64, 12),
    "ten": (6, 6, 384, 256, 8),
}


class Trainer:
    def __init__(self, size: str, compiled: bool = False, seed: int = 1, text: Tensor | None = None):
        n_layer, n_head, n_embd, self.block_size, self.batch_size = SIZES[size]
        torch.manual_seed(seed)
        self.config = Config(n_layer, n_head, n_embd, self.block_size, VOCAB_SIZE)
        self.model = Gpt(self.config)
        self.loss = torch.compile(self.model) if compiled else self.model
        self.text = torch.randint(VOCAB_SIZE, (1_000_000,)) if text is None else text
        self.window = torch.arange(self.block_size + 1)
        self.optimizer = None

    def use(self, kind: str) -> None:
        """Replaces the optimizer by AdamW of this kind: fused or foreach."""
        groups = self.model.parameter_groups(WEIGHT_DECAY)
        self.optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, **{kind: True})

    def step(self) -> None:
        starts = torch.randint(len(self.text) - self.block_size, (self.batch_size, 1))
        batch = self.text[starts + self.window]  # (B, T + 1)
        self.loss(batch[:, :-1], batch[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRAD_CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class Products:
    """The matrix products of a block and of the head with the shapes of a model, forward and backward."""

    def __init__(self, config: Config, rows: int):
        c = config.n_embd
        self.layers = []
        self.flops = 0
        for wide, high in ((c, 3 * c), (c, c), (c, 4 * c), (4 * c, c), (c, config.vocab_size)):
            x, weight = torch.full((rows, wide), 0.5), torch.full((high, wide), 0.25)
            y, gx, gw = torch.empty(rows, high), torch.empty_like(x), torch.empty_like(weight)
            self.layers.append((x, weight, y, gx, gw))
            self.flops += 3 * 2 * rows * wide * high

    @torch.no_grad()
    def run(self) -> None:
        for x, weight, y, gx, gw in self.layers:
            torch.mm(x, weight.T, out=y)
            torch.mm(y, weight, out=gx)
            torch.mm(y.T, x, out=gw)


def times(work: Callable[[], None], seconds: float, at_least: int = 1) -> list[float]:
    """Calls a function for `seconds` and returns the duration of each call."""
    taken = []
    started = perf_counter()
    while perf_counter() - started < seconds or len(taken) < at_least:
        one = perf_counter()
        work()
        taken.append(perf_counter() - one)
    return taken


def fastest_optimizer(trainer: Trainer, seconds: float) -> str:
    """Measures a few steps with each kind of AdamW and returns the faster kind."""
    medians = {}
    for kind in ("fused", "foreach"):
        trainer.use(kind)
        for _ in range(WARM_UP):
            trainer.step()
        medians[kind] = median(times(trainer.step, seconds, at_least=5))
    return min(medians, key=medians.get)


def peak_memory_mb() -> float:
    """Peak resident memory of this process, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--compile", action="store_true", help="run the model through torch.compile")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=5, help="default: %(default)s")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    trainer = Trainer(arguments.size, arguments.compile)
    kind = fastest_optimizer(trainer, arguments.seconds / 10)
    trainer.use(kind)
    for _ in range(WARM_UP):
        trainer.step()
    products = Products(trainer.config, trainer.batch_size * trainer.block_size)
    products.run()
    steps, rounds = [], []
    for _ in range(SLICES):
        steps += times(trainer.step, arguments.seconds / SLICES)
        rounds += times(products.run, PRODUCTS_SHARE * arguments.seconds / SLICES)
    seconds = median(steps)
    tokens_per_second = trainer.batch_size * trainer.block_size / seconds
    matmul_rate = products.flops / median(rounds)
    result = {
        "size": arguments.size,
        "threads": arguments.threads,
        "ms": round(seconds * 1e3, 3),
        "tokens_per_second": round(tokens_per_second),
        "steps": len(steps),
        "matmul_gflops": round(matmul_rate / 1e9, 1),
        "mfu": round(tokens_per_second * trainer.config.flops_per_token() / matmul_rate, 4),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "optimizer": kind,
        "compile": arguments.compile,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
