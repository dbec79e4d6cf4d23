"""Times training steps of the GPT in model.py and prints one JSON line, as `cargo bench --bench step` does.

A step is a random batch, forward, backward, clipping, AdamW and setting the gradients to none.
"""

import argparse
import json
import resource
import sys
from statistics import median
from time import perf_counter

import torch

from model import Config, Gpt

VOCAB_SIZE = 65
LEARNING_RATE = 1e-3
BETAS = (0.9, 0.99)
WEIGHT_DECAY = 0.1
GRAD_CLIP = 1.0
WARM_UP = 5

# (n_layer, n_head, n_embd, block_size, batch_size), as in benches/step.rs.
SIZES = {
    "names": (2, 4, 32, 16, 32),
    "baby": (4, 4, 128, 64, 12),
    "ten": (6, 6, 384, 256, 8),
}


class Trainer:
    def __init__(self, size: str, compiled: bool):
        n_layer, n_head, n_embd, self.block_size, self.batch_size = SIZES[size]
        torch.manual_seed(1)
        self.model = Gpt(Config(n_layer, n_head, n_embd, self.block_size, VOCAB_SIZE))
        self.loss = torch.compile(self.model) if compiled else self.model
        self.text = torch.randint(VOCAB_SIZE, (1_000_000,))
        self.window = torch.arange(self.block_size + 1)
        self.optimizer = None

    def use(self, kind: str) -> None:
        """Goes on with AdamW of a kind: fused or foreach."""
        groups = self.model.parameter_groups(WEIGHT_DECAY)
        self.optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, **{kind: True})

    def step(self) -> None:
        starts = torch.randint(len(self.text) - self.block_size, (self.batch_size, 1))
        batch = self.text[starts + self.window]  # (B, T + 1)
        self.loss(batch[:, :-1], batch[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRAD_CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def times(self, seconds: float, at_least: int) -> list[float]:
        """Seconds of each of the steps that fit into `seconds`."""
        times = []
        started = perf_counter()
        while perf_counter() - started < seconds or len(times) < at_least:
            step = perf_counter()
            self.step()
            times.append(perf_counter() - step)
        return times


def fastest_optimizer(trainer: Trainer, seconds: float) -> str:
    """The kind of AdamW whose steps take less time, given a few of them."""
    medians = {}
    for kind in ("fused", "foreach"):
        trainer.use(kind)
        for _ in range(WARM_UP):
            trainer.step()
        medians[kind] = median(trainer.times(seconds, at_least=5))
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
    times = trainer.times(arguments.seconds, at_least=10)
    seconds = median(times)
    result = {
        "size": arguments.size,
        "threads": arguments.threads,
        "ms": round(seconds * 1e3, 3),
        "tokens_per_second": round(trainer.batch_size * trainer.block_size / seconds),
        "steps": len(times),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "optimizer": kind,
        "compile": arguments.compile,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
