"""Measures training steps of the GPT in model_jax.py and prints one line of JSON, as bench.py does.

A step is one jitted function: a random batch, forward, backward, clipping and AdamW, in 32-bit floats.
"""

import argparse
import os

import jax
import jax.numpy as jnp
import optax

from common import BETAS, GRAD_CLIP, LEARNING_RATE, SIZES, VOCAB_SIZE, WEIGHT_DECAY, Config, config_of, measure
from model_jax import has_weight_decay, initial_parameters, loss


class Trainer:
    def __init__(self, config: Config, batch_size: int):
        key, text_key, model_key = jax.random.split(jax.random.key(1), 3)
        text = jax.random.randint(text_key, (1_000_000,), 0, VOCAB_SIZE)
        window = jnp.arange(config.block_size + 1)
        adamw = optax.adamw(LEARNING_RATE, *BETAS, weight_decay=WEIGHT_DECAY, mask=has_weight_decay)
        optimizer = optax.chain(optax.clip_by_global_norm(GRAD_CLIP), adamw)

        def next_state(state: tuple, text: jax.Array) -> tuple:
            parameters, moments, key = state
            key, batch_key = jax.random.split(key)
            starts = jax.random.randint(batch_key, (batch_size, 1), 0, len(text) - config.block_size)
            batch = text[starts + window]  # (B, T + 1)
            gradient = jax.grad(loss)(parameters, batch[:, :-1], batch[:, 1:], config.n_head)
            updates, moments = optimizer.update(gradient, moments, parameters)
            return optax.apply_updates(parameters, updates), moments, key

        # The old state is not needed after a step, so its memory is used for the new one.
        self.next_state = jax.jit(next_state, donate_argnums=0)
        self.text = text
        parameters = initial_parameters(config, model_key)
        self.state = (parameters, optimizer.init(parameters), key)

    def step(self) -> None:
        self.state = jax.block_until_ready(self.next_state(self.state, self.text))


class Products:
    """The matrix products of a block and of the head with the shapes of a model, forward and backward."""

    def __init__(self, config: Config, rows: int):
        self.layers = [
            (jnp.full((rows, wide), 0.5), jnp.full((wide, high), 0.25), jnp.full((rows, high), 0.5))
            for wide, high in config.product_shapes()
        ]
        self.multiply = jax.jit(lambda x, weight, gy: (x @ weight, gy @ weight.T, x.T @ gy))

    def run(self) -> None:
        jax.block_until_ready([self.multiply(*layer) for layer in self.layers])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=5, help="default: %(default)s")
    arguments = parser.parse_args()

    if hasattr(os, "sched_setaffinity"):
        # JAX has no setting for its threads. It starts as many as the process may use cores.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    config, batch_size = config_of(arguments.size)
    trainer = Trainer(config, batch_size)
    rows = batch_size * config.block_size
    new_products = lambda: Products(config, rows).run
    measure(trainer.step, new_products, arguments.size, arguments.seconds, threads=arguments.threads)


if __name__ == "__main__":
    main()
