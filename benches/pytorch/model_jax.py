"""The GPT of model.py in JAX: the same layers, the same initial weights up to the random numbers, the same loss.

B: sequences in a batch, T: tokens in a sequence, C: n_embd, V: size of the vocabulary.
"""

from math import sqrt

import jax
import jax.numpy as jnp
import optax

from common import Config

Parameters = dict


def initial_parameters(config: Config, key: jax.Array) -> Parameters:
    c = config.n_embd
    keys = iter(jax.random.split(key, 2 + 4 * config.n_layer))

    def normal(*shape: int, std: float = 0.02) -> jax.Array:
        return std * jax.random.normal(next(keys), shape)

    residual_std = 0.02 / sqrt(2 * config.n_layer)
    blocks = [
        {
            "norm_1": jnp.ones(c),
            "qkv": normal(c, 3 * c),
            "attention_out": normal(c, c, std=residual_std),
            "norm_2": jnp.ones(c),
            "mlp_in": normal(c, 4 * c),
            "mlp_out": normal(4 * c, c, std=residual_std),
        }
        for _ in range(config.n_layer)
    ]
    tables = {"tokens": normal(config.vocab_size, c), "positions": normal(config.block_size, c)}
    return {**tables, "blocks": blocks, "norm": jnp.ones(c)}


def has_weight_decay(parameters: Parameters) -> Parameters:
    """True for all matrices, including the tied embedding, and for nothing else."""
    return {**jax.tree.map(lambda p: p.ndim == 2, parameters), "positions": False}


def normalize(x: jax.Array, gain: jax.Array) -> jax.Array:
    """LayerNorm with a gain and no bias."""
    return gain * jax.nn.standardize(x, epsilon=1e-5)


def attend(block: Parameters, x: jax.Array, n_head: int) -> jax.Array:  # (B, T, C) to (B, T, C)
    b, t, c = x.shape
    q, k, v = jnp.split((x @ block["qkv"]).reshape(b, t, 3 * n_head, c // n_head), 3, axis=2)
    y = jax.nn.dot_product_attention(q, k, v, is_causal=True)  # (B, T, n_head, C / n_head)
    return y.reshape(b, t, c) @ block["attention_out"]


def loss(parameters: Parameters, inputs: jax.Array, targets: jax.Array, n_head: int) -> jax.Array:
    """Mean cross-entropy in nats of targets (B, T), given inputs (B, T)."""
    x = parameters["tokens"][inputs] + parameters["positions"][: inputs.shape[1]]  # (B, T, C)
    for block in parameters["blocks"]:
        x = x + attend(block, normalize(x, block["norm_1"]), n_head)
        hidden = jax.nn.gelu(normalize(x, block["norm_2"]) @ block["mlp_in"], approximate=True)
        x = x + hidden @ block["mlp_out"]
    logits = normalize(x, parameters["norm"]) @ parameters["tokens"].T  # (B, T, V)
    return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()
