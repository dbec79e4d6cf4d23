"""Checks that the files of a sweep mean the same in Python.

    python3 -m pip install -r tests/python/requirements.txt
    cargo test --test command_line -- --ignored python_library

The test trains variants with odd names and texts, and calls this script with the results folder:

- `config.yaml` has the values that `plan.json` has.
- `model.safetensors` has the expected matrices. The validation loss is computed again from them, for a bigram
  model and for a GPT with the default layers.
"""

import json
import sys
from pathlib import Path

import numpy as np
import yaml
from safetensors.numpy import load_file

# Largest accepted difference of a validation loss, in nats per token. The losses are computed in 32 bits by runner
# and in 64 bits here.
TOLERANCE = 1e-5

EPSILON = 1e-5


def unlike(path, found, expected):
    """Yields a line for each value that differs in type or content. 1, 1.0 and True are different."""
    if type(found) is not type(expected):
        yield f"{path} is {found!r} in config.yaml and {expected!r} in plan.json"
    elif isinstance(found, dict):
        for key in sorted(found.keys() | expected.keys(), key=repr):
            if key not in found or key not in expected:
                yield f"{path}.{key!r} is only in one of config.yaml and plan.json"
            else:
                yield from unlike(f"{path}.{key}", found[key], expected[key])
    elif isinstance(found, list) and len(found) == len(expected):
        for at, (one, other) in enumerate(zip(found, expected)):
            yield from unlike(f"{path}[{at}]", one, other)
    elif found != expected:
        yield f"{path} is {found!r} in config.yaml and {expected!r} in plan.json"


def expected_shapes(model, vocab):
    if model["kind"] == "bigram":
        return {"table.weight": (vocab, vocab)}
    width = model["n_embd"]
    shapes = {
        "wte.weight": (vocab, width),
        "wpe.weight": (model["block_size"], width),
        "ln_f.weight": (1, width),
    }
    for block in range(model["n_layer"]):
        shapes |= {
            f"h.{block}.ln_1.weight": (1, width),
            f"h.{block}.attn.c_attn.weight": (3 * width, width),
            f"h.{block}.attn.c_proj.weight": (width, width),
            f"h.{block}.ln_2.weight": (1, width),
            f"h.{block}.mlp.c_fc.weight": (4 * width, width),
            f"h.{block}.mlp.c_proj.weight": (width, 4 * width),
        }
    return shapes


def normalized(x, gain):
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt((centered**2).mean(-1, keepdims=True) + EPSILON) * gain


def softmax(x):
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def attention(qkv, heads):
    """Causal self-attention of one sequence: (T, 3C) to (T, C)."""
    length, width = qkv.shape[0], qkv.shape[1] // 3
    query, key, value = (
        part.reshape(length, heads, width // heads).transpose(1, 0, 2)
        for part in np.split(qkv, 3, axis=1)
    )
    scores = query @ key.transpose(0, 2, 1) / np.sqrt(width // heads)
    scores[:, np.triu(np.ones((length, length), bool), 1)] = -np.inf
    return (softmax(scores) @ value).transpose(1, 0, 2).reshape(length, width)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def logits(model, weights, inputs):
    """The logits of the token after each token of a sequence: (T) to (T, V)."""
    if model["kind"] == "bigram":
        return weights["table.weight"][inputs]
    x = weights["wte.weight"][inputs] + weights["wpe.weight"][: len(inputs)]
    for block in range(model["n_layer"]):
        of = lambda name: weights[f"h.{block}.{name}.weight"]
        y = normalized(x, of("ln_1")) @ of("attn.c_attn").T
        x = x + attention(y, model["n_head"]) @ of("attn.c_proj").T
        y = normalized(x, of("ln_2")) @ of("mlp.c_fc").T
        x = x + gelu(y) @ of("mlp.c_proj").T
    return normalized(x, weights["ln_f.weight"]) @ weights["wte.weight"].T


def validation_loss(model, weights, corpus):
    """Mean cross-entropy of the validation split, in consecutive windows, as runner defines it."""
    train, val = (np.fromfile(corpus / name, "<u2") for name in ("train.bin", "val.bin"))
    inputs = np.concatenate([train[-1:], val[:-1]])
    losses = []
    for start in range(0, len(val), model["block_size"]):
        window = slice(start, start + model["block_size"])
        likely = softmax(logits(model, weights, inputs[window]))
        losses.append(-np.log(likely[np.arange(len(likely)), val[window]]))
    return np.concatenate(losses).mean()


def differences(results, plan, run):
    folder = results / "runs" / run["name"]
    spec = run["spec"]
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    yield from unlike("config", config, spec)

    corpus = plan["corpora"][run["corpus"]]
    weights = load_file(folder / "model.safetensors")
    shapes = {name: matrix.shape for name, matrix in weights.items()}
    expected = expected_shapes(spec["model"], corpus["vocab_size"])
    if shapes != expected:
        yield f"model.safetensors has {shapes}, expected {expected}"
        return
    if any(matrix.dtype != np.float32 for matrix in weights.values()):
        yield "model.safetensors has a matrix that is not of 32 bits"
    params = sum(matrix.size for matrix in weights.values())
    if params != run["params"]:
        yield f"model.safetensors has {params} parameters, expected {run['params']}"
    weights = {name: matrix.astype(np.float64) for name, matrix in weights.items()}
    loss = validation_loss(spec["model"], weights, results / "cache" / corpus["key"])
    status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    recorded = status["outcome"]["val_loss"]
    if not abs(loss - recorded) < TOLERANCE:
        yield f"the weights have a validation loss of {loss}, and runner recorded {recorded}"


def main():
    results = Path(sys.argv[1])
    plan = json.loads((results / "plan.json").read_text(encoding="utf-8"))
    if not plan["runs"]:
        sys.exit(f"there are no runs in {results}")
    different = 0
    for run in plan["runs"]:
        found = list(differences(results, plan, run))
        different += len(found)
        print(f"{run['name']}: {len(found)} differences")
        for line in found:
            print(f"  {line}")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
