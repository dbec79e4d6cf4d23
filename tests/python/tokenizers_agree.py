"""Compares the tokenizers that runner writes with what the Python library makes of their files.

    python3 -m pip install -r tests/python/requirements.txt
    cargo test --lib -- --ignored python_library

The test writes a folder, and calls this script with it:

    FOLDER/NAME/tokenizer.json    the tokenizer
    FOLDER/NAME/cases.json        texts, with their tokens and what these decode to

With `PYTHON=...`, the test uses another interpreter than `python3`.
"""

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer

# Differences that are shown for each tokenizer.
SHOWN = 5


def differences(folder):
    """Yields a line for each text whose tokens differ."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for case in json.loads((folder / "cases.json").read_text(encoding="utf-8")):
        text, ids = case["text"], case["ids"]
        found = tokenizer.encode(text, add_special_tokens=False).ids
        if found != ids:
            yield f"{text!r}: runner has {ids}, the Python library has {found}"
        decoded = tokenizer.decode(ids, skip_special_tokens=False)
        if decoded != case["decoded"]:
            yield f"{ids}: runner decodes {case['decoded']!r}, the Python library {decoded!r}"


def main():
    folders = sorted(path for path in Path(sys.argv[1]).iterdir() if path.is_dir())
    if not folders:
        sys.exit(f"there are no tokenizers in {sys.argv[1]}")
    different = 0
    for folder in folders:
        try:
            found = list(differences(folder))
        except Exception as error:  # the library raises plain exceptions
            found = [f"tokenizer.json cannot be read: {error}"]
        different += len(found)
        print(f"{folder.name}: {len(found)} differences")
        for line in found[:SHOWN]:
            print(f"  {line}")
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
