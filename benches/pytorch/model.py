"""The GPT of src/model/gpt.rs in PyTorch: the reference of the benchmarks.

B: sequences in a batch, T: tokens in a sequence, C: n_embd, V: size of the vocabulary.
"""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Config:
    n_layer: int
    n_head: int
    n_embd: int
    block_size: int
    vocab_size: int

    def flops_per_token(self) -> float:
        """Forward and backward, counting only the causal half of attention, as in src/model/size.rs."""
        c = self.n_embd
        products = self.n_layer * 12 * c * c + self.vocab_size * c
        # Scores and weighted sum, over (T + 1) / 2 tokens on average.
        attention = 2 * 2 * self.n_layer * c * (self.block_size + 1) / 2
        return 3 * (2 * products + attention)


class Norm(nn.Module):
    """LayerNorm with a gain and no bias."""

    def __init__(self, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.gain.shape, self.gain, None, 1e-5)


class Block(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        c = config.n_embd
        self.n_head = config.n_head
        self.norm_1 = Norm(c)
        self.qkv = nn.Linear(c, 3 * c, bias=False)
        self.attention_out = nn.Linear(c, c, bias=False)
        self.norm_2 = Norm(c)
        self.mlp_in = nn.Linear(c, 4 * c, bias=False)
        self.mlp_out = nn.Linear(4 * c, c, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) to (B, T, C)
        x = x + self.attend(self.norm_1(x))
        return x + self.mlp_out(F.gelu(self.mlp_in(self.norm_2(x)), approximate="tanh"))

    def attend(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        heads = (b, t, self.n_head, c // self.n_head)
        q, k, v = (y.view(heads).transpose(1, 2) for y in self.qkv(x).split(c, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, n_head, T, C / n_head)
        return self.attention_out(y.transpose(1, 2).reshape(b, t, c))


class Gpt(nn.Module):
    """A GPT with pre-norm, learned positions, no biases and tied embeddings."""

    def __init__(self, config: Config):
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(config.vocab_size, config.n_embd))
        self.positions = nn.Parameter(torch.empty(config.block_size, config.n_embd))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.norm = Norm(config.n_embd)
        residual_std = 0.02 / sqrt(2 * config.n_layer)
        for name, parameter in self.named_parameters():
            if name.endswith(("attention_out.weight", "mlp_out.weight")):
                nn.init.normal_(parameter, std=residual_std)
            elif not name.endswith("gain"):
                nn.init.normal_(parameter, std=0.02)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats of targets (B, T), given inputs (B, T)."""
        logits = F.linear(self.forward_hidden(inputs), self.tokens)  # (B, T, V)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def next_logits(self, inputs: Tensor) -> Tensor:
        """Logits (B, V) of the tokens after inputs (B, T)."""
        return F.linear(self.forward_hidden(inputs)[:, -1], self.tokens)

    def forward_hidden(self, inputs: Tensor) -> Tensor:  # (B, T) to (B, T, C)
        x = F.embedding(inputs, self.tokens) + self.positions[: inputs.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def parameter_groups(self, weight_decay: float) -> list[dict]:
        """Weight decay applies to all matrices, including the tied embedding, and to nothing else."""
        decayed, others = [], []
        for name, parameter in self.named_parameters():
            plain = name.endswith("gain") or name == "positions"
            (others if plain else decayed).append(parameter)
        return [
            {"params": decayed, "weight_decay": weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
