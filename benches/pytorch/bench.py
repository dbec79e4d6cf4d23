"""Measures training steps of the GPT in model.py and prints one line of JSON, as `cargo bench --bench step` does.

A step is a random batch, forward, backward, clipping, AdamW and setting the gradients to none.
"""

import argparse
from statistics import median

import torch
from torch import Tensor

from common import BETAS, GRAD_CLIP, LEARNING_RATE, SIZES, VOCAB_SIZE, WARM_UP, WEIGHT_DECAY, Config
from common import config_of, measure, times
from model import Gpt


class Trainer:
    def __init__(
        self, size: str, compiled: bool = False, seed: int = 1, text: Tensor | None = None, bf16: bool = False
    ):
        torch.manual_seed(seed)
        self.config, self.batch_size = config_of(size)
        self.block_size = self.config.block_size
        self.model = Gpt(self.config)
        self.loss = torch.compile(self.model) if compiled else self.model
        # Matrix products in bfloat16. Weights, their gradients and the optimizer stay in 32 bits.
        self.autocast = torch.autocast("cpu", torch.bfloat16, enabled=bf16)
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
        with self.autocast:
            loss = self.loss(batch[:, :-1], batch[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRAD_CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class Products:
    """The matrix products of a block and of the head with the shapes of a model, forward and backward."""

    def __init__(self, config: Config, rows: int, dtype: torch.dtype):
        self.layers = []
        for wide, high in config.product_shapes():
            x = torch.full((rows, wide), 0.5, dtype=dtype)
            weight = torch.full((high, wide), 0.25, dtype=dtype)
            y, gx, gw = torch.empty(rows, high, dtype=dtype), torch.empty_like(x), torch.empty_like(weight)
            self.layers.append((x, weight, y, gx, gw))

    @torch.no_grad()
    def run(self) -> None:
        for x, weight, y, gx, gw in self.layers:
            torch.mm(x, weight.T, out=y)
            torch.mm(y, weight, out=gx)
            torch.mm(y.T, x, out=gw)


def fastest_optimizer(trainer: Trainer, seconds: float) -> str:
    """Measures a few steps with each kind of AdamW and returns the faster kind."""
    medians = {}
    for kind in ("fused", "foreach"):
        trainer.use(kind)
        for _ in range(WARM_UP):
            trainer.step()
        medians[kind] = median(times(trainer.step, seconds, at_least=5))
    return min(medians, key=medians.get)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--compile", action="store_true", help="run the model through torch.compile")
    parser.add_argument("--bf16", action="store_true", help="compute matrix products in bfloat16 (torch.autocast)")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=5, help="default: %(default)s")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    trainer = Trainer(arguments.size, arguments.compile, bf16=arguments.bf16)
    kind = fastest_optimizer(trainer, arguments.seconds / 10)
    trainer.use(kind)
    dtype = torch.bfloat16 if arguments.bf16 else torch.float32
    rows = trainer.batch_size * trainer.block_size
    details = {"threads": arguments.threads, "optimizer": kind, "compile": arguments.compile, "bf16": arguments.bf16}
    new_products = lambda: Products(trainer.config, rows, dtype).run
    measure(trainer.step, new_products, arguments.size, arguments.seconds, **details)


if __name__ == "__main__":
    main()
