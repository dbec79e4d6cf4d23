"""The GPT of src/model/gpt.rs in PyTorch: the reference of the benchmarks.

B: sequences in a batch, T: tokens in a sequence, C: n_embd, V: size of the vocabulary.
"""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common import Config


class Norm(nn.Module):
    """LayerNorm or RMSNorm with a gain and no bias."""

    def __init__(self, config: Config):
        super().__init__()
        self.kind = config.norm
        self.gain = nn.Parameter(torch.ones(config.n_embd))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "rmsnorm":
            return F.rms_norm(x, self.gain.shape, self.gain, 1e-5)
        return F.layer_norm(x, self.gain.shape, self.gain, None, 1e-5)


class Mlp(nn.Module):
    """GELU, or SwiGLU with about as many parameters: its width is 8/3 C, in multiples of 8."""

    def __init__(self, config: Config):
        super().__init__()
        c = config.n_embd
        self.gated = config.mlp == "swiglu"
        hidden = 8 * round(c / 3) if self.gated else 4 * c
        self.mlp_in = nn.Linear(c, 2 * hidden if self.gated else hidden, bias=False)
        self.mlp_out = nn.Linear(hidden, c, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) to (B, T, C)
        x = self.mlp_in(x)
        if self.gated:
            gate, x = x.chunk(2, dim=-1)
            return self.mlp_out(F.silu(gate) * x)
        return self.mlp_out(F.gelu(x, approximate="tanh"))


def rotation(config: Config) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, C / n_head / 2) of the angles of rotary positions."""
    half = config.n_embd // config.n_head // 2
    angles = torch.outer(torch.arange(config.block_size), 10000.0 ** (-torch.arange(half) / half))
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates queries or keys (B, n_head, T, C / n_head) by their positions."""
    t = x.shape[2]
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos[:t] - b * sin[:t], b * cos[:t] + a * sin[:t]), dim=-1)


class Block(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        c = config.n_embd
        self.n_head = config.n_head
        self.norm_1 = Norm(config)
        self.qkv = nn.Linear(c, 3 * c, bias=False)
        self.attention_out = nn.Linear(c, c, bias=False)
        self.norm_2 = Norm(config)
        self.mlp = Mlp(config)
        self.rotary = config.positions == "rotary"
        if self.rotary:
            cos, sin = rotation(config)
            self.register_buffer("cos", cos)
            self.register_buffer("sin", sin)

    def forward(self, x: Tensor) -> Tensor:  # (B, T, C) to (B, T, C)
        x = x + self.attend(self.norm_1(x))
        return x + self.mlp(self.norm_2(x))

    def attend(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        heads = (b, t, self.n_head, c // self.n_head)
        q, k, v = (y.view(heads).transpose(1, 2) for y in self.qkv(x).split(c, dim=2))
        if self.rotary:
            q, k = rotate(q, self.cos, self.sin), rotate(k, self.cos, self.sin)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, n_head, T, C / n_head)
        return self.attention_out(y.transpose(1, 2).reshape(b, t, c))


class Gpt(nn.Module):
    """A GPT with pre-norm, no biases and tied embeddings."""

    def __init__(self, config: Config):
        super().__init__()
        self.tokens = nn.Parameter(torch.empty(config.vocab_size, config.n_embd))
        self.positions = None
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.empty(config.block_size, config.n_embd))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.norm = Norm(config)
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
        x = F.embedding(inputs, self.tokens)
        if self.positions is not None:
            x = x + self.positions[: inputs.shape[1]]
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


class Bigram(nn.Module):
    """A trained table (V, V) whose row t holds the logits of the token after t."""

    def __init__(self, vocab_size: int):
        super().__init__()
        self.table = nn.Parameter(torch.empty(vocab_size, vocab_size))
        nn.init.normal_(self.table, std=0.02)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats of targets (B, T), given inputs (B, T)."""
        return F.cross_entropy(F.embedding(inputs, self.table).flatten(0, 1), targets.flatten())

    def next_logits(self, inputs: Tensor) -> Tensor:
        """Logits (B, V) of the tokens after inputs (B, T)."""
        return F.embedding(inputs[:, -1], self.table)

    def parameter_groups(self, weight_decay: float) -> list[dict]:
        """The table is an embedding and has no weight decay."""
        return [{"params": [self.table], "weight_decay": 0.0}]
