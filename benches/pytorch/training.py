"""The learning rate schedule and the evaluation of `runner`, for the scripts that train to the end."""

import math

import torch
from torch import Tensor, nn

TOKENS_AT_ONCE = 4096


def cosine_schedule(step: int, steps: int, lr: float, warmup_steps: int, min_lr: float) -> float:
    """Learning rate of the step after `step` steps, as in src/train/lr_schedule.rs."""
    if step < warmup_steps:
        return lr * (step + 1) / (warmup_steps + 1)
    last = max(steps - 1, warmup_steps + 1) - warmup_steps
    cosine = 0.5 * (1 + math.cos(math.pi * min((step - warmup_steps) / last, 1)))
    return min_lr + cosine * (lr - min_lr)


@torch.no_grad()
def evaluate(model: nn.Module, last: Tensor, val: Tensor, block: int) -> float:
    """Loss in nats per token over the whole split, in consecutive windows. The first starts at `last`."""
    inputs, targets = torch.cat([last.view(1), val[:-1]]), val
    whole = len(val) // block * block
    batches = [tokens[:whole].view(-1, block).split(TOKENS_AT_ONCE // block) for tokens in (inputs, targets)]
    pieces = list(zip(*batches))
    if whole < len(val):
        pieces.append((inputs[whole:].view(1, -1), targets[whole:].view(1, -1)))
    total = sum(model(piece, target).item() * target.numel() for piece, target in pieces)
    return total / len(val)
