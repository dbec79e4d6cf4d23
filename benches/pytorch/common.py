"""What the benchmarks in PyTorch and in JAX share: sizes, optimizer settings, and how a step is measured.

It imports neither of the two, so that the memory of one program does not include the other library.
"""

import json
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

VOCAB_SIZE = 65
LEARNING_RATE = 1e-3
BETAS = (0.9, 0.99)
WEIGHT_DECAY = 0.1
GRAD_CLIP = 1.0
WARM_UP = 5

# As in benches/step.rs: steps and matrix products alternate.
SLICES = 10
PRODUCTS_SHARE = 0.25

# (n_layer, n_head, n_embd, block_size, batch_size), as in benches/setup/mod.rs and experiments/ablation.yaml.
SIZES = {
    "names": (2, 4, 32, 16, 32),
    "ablation": (2, 2, 64, 64, 32),
    "baby": (4, 4, 128, 64, 12),
    "ten": (6, 6, 384, 256, 8),
}


@dataclass(frozen=True)
class Config:
    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    vocab_size: int
    norm: str = "layernorm"  # or rmsnorm
    mlp: str = "gelu"  # or swiglu
    positions: str = "learned"  # or rotary

    def product_shapes(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of the linear layers of a block and of the head, without SwiGLU."""
        c = self.n_embd
        return [(c, 3 * c), (c, c), (c, 4 * c), (4 * c, c), (c, self.vocab_size)]

    def flops_per_token(self) -> float:
        """Forward and backward, counting only the causal half of attention, as in src/model/size.rs. Without SwiGLU."""
        c = self.n_embd
        products = self.n_layer * 12 * c * c + self.vocab_size * c
        # Scores and weighted sum, over (T + 1) / 2 tokens on average.
        attention = 2 * 2 * self.n_layer * c * (self.block_size + 1) / 2
        return 3 * (2 * products + attention)


def config_of(size: str) -> tuple[Config, int]:
    """The model of a size, and the number of sequences in a batch."""
    n_layer, n_head, n_embd, block_size, batch_size = SIZES[size]
    return Config(n_layer, n_head, n_embd, block_size, VOCAB_SIZE), batch_size


def times(work: Callable[[], None], seconds: float, at_least: int = 1) -> list[float]:
    """Calls a function for `seconds` and returns the duration of each call."""
    taken = []
    started = perf_counter()
    while perf_counter() - started < seconds or len(taken) < at_least:
        one = perf_counter()
        work()
        taken.append(perf_counter() - one)
    return taken


def peak_memory_mb() -> float:
    """Peak resident memory of this process, in MiB. That of Linux does not count the program that started it."""
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 2**10
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def measure(
    step: Callable[[], None], new_products: Callable[[], Callable[[], None]], size: str, seconds: float, **details
) -> None:
    """Measures training steps and matrix products in turn, and prints one line of JSON.

    `new_products` allocates matrices and returns a function that computes each of Config.product_shapes() forward
    and backward, for all rows of a batch. The memory is that of training, before they are allocated.
    """
    config, batch_size = config_of(size)
    rows = batch_size * config.block_size
    for _ in range(WARM_UP):
        step()
    memory = peak_memory_mb()  # of training alone
    products = new_products()
    products()
    steps, rounds = [], []
    for _ in range(SLICES):
        steps += times(step, seconds / SLICES)
        rounds += times(products, PRODUCTS_SHARE * seconds / SLICES)
    tokens_per_second = rows / median(steps)
    flops = sum(3 * 2 * rows * wide * high for wide, high in config.product_shapes())
    matmul_rate = flops / median(rounds)
    result = {
        "size": size,
        "ms": round(median(steps) * 1e3, 3),
        "tokens_per_second": round(tokens_per_second),
        "steps": len(steps),
        "matmul_gflops": round(matmul_rate / 1e9, 1),
        "mfu": round(tokens_per_second * config.flops_per_token() / matmul_rate, 4),
        "peak_memory_mb": round(memory, 1),
        **details,
    }
    print(json.dumps(result))
