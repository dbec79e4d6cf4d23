"""Compares exported models with what the Python library transformers makes of their folders.

    python3 -m pip install -r tests/python/models.txt
    cargo test --lib -- --ignored transformers_library

The test writes a folder, and calls this script with it:

    FOLDER/NAME/         an exported model
    FOLDER/NAME.json     tokens with the logits after each of them, the likeliest continuation, and texts with their tokens

With `PYTHON=...`, the test uses another interpreter than `python3`.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

# Largest difference between two logits.
TOLERANCE = 1e-4


def differences(folder):
    """Yields a line for each difference."""
    case = json.loads(folder.with_name(folder.name + ".json").read_text(encoding="utf-8"))
    model, loading = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    model.eval()
    if type(model).__name__ != case["class"]:
        yield f"it is loaded as {type(model).__name__}"
    for problem, names in loading.items():
        if names:
            yield f"{problem}: {names}"
    with torch.no_grad():
        tokens = torch.tensor([case["tokens"]])
        found = model(tokens).logits[0]
        difference = (found - torch.tensor(case["logits"])).abs().max().item()
        if not difference <= TOLERANCE:
            yield f"logits differ by {difference}"
        expected = case["greedy"]
        new = len(expected) - 3
        found = model.generate(tokens[:, :3], do_sample=False, max_new_tokens=new)[0].tolist()
        if found != expected:
            yield f"runner continues {expected}, transformers {found}"
    # The example of the model card, with the sampling of generation_config.json.
    card = (folder / "README.md").read_text(encoding="utf-8")
    example = card.split("```python\n")[1].split("```")[0]
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        exec(example, {})  # it is our own file
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if len(tokenizer) != model.config.vocab_size:
        yield f"{len(tokenizer)} tokens in a vocabulary of {model.config.vocab_size}"
    for text in case["texts"]:
        ids = tokenizer(text["text"]).input_ids
        if ids != text["ids"]:
            yield f"{text['text']!r}: runner has {text['ids']}, transformers {ids}"
        decoded = tokenizer.decode(text["ids"])
        if case["lossless"] and decoded != text["text"]:
            yield f"{text['text']!r}: transformers decodes {decoded!r}"


def main():
    folders = sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir())
    if not folders:
        sys.exit(f"there are no models in {sys.argv[1]}")
    different = 0
    for folder in folders:
        found = list(differences(folder))
        different += len(found)
        print(f"{folder.name}: {len(found)} differences")
        for line in found:
            print(f"  {line}")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
