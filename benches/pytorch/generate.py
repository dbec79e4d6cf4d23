"""Generates text with PyTorch, as nanoGPT's `generate` does, and with `runner`, in turn. Prints a Markdown table.

nanoGPT's way, with the model of model.py: for each token, a forward pass of the last block_size tokens under
no_grad, the logits of the last of them divided by the temperature, all but the top_k at minus infinity, softmax, one
draw. Both begin with one token and draw with temperature 0.8 and top_k 40, one text at a time.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import Tensor
from torch.nn import functional as F

from common import Config
from model import Gpt

ROOT = Path(__file__).resolve().parent.parent.parent
VOCAB_SIZE = 65
BLOCK_SIZES = (64, 256)
TEMPERATURE, TOP_K = 0.8, 40


@torch.no_grad()
def generate(model: Gpt, block_size: int, tokens: int, first: int = 0) -> Tensor:
    """The token `first`, and `tokens` tokens after it."""
    text = torch.tensor([[first]])
    for _ in range(tokens):
        logits = model.next_logits(text[:, -block_size:]) / TEMPERATURE  # (1, V)
        least = torch.topk(logits, TOP_K).values[:, -1:]
        logits[logits < least] = -float("inf")
        text = torch.cat((text, torch.multinomial(F.softmax(logits, dim=-1), num_samples=1)), dim=1)
    return text


def pytorch(block_size: int, tokens: int, seconds: float) -> float:
    """Tokens per second: the median over the texts generated in `seconds`."""
    torch.manual_seed(1)
    model = Gpt(Config(4, 4, 128, block_size, VOCAB_SIZE)).eval()
    generate(model, block_size, tokens=20)
    times = []
    started = perf_counter()
    while perf_counter() - started < seconds or len(times) < 3:
        text = perf_counter()
        generate(model, block_size, tokens)
        times.append(perf_counter() - text)
    return tokens / median(times)


def build() -> Path:
    """Builds benches/generate.rs and returns the path of the program."""
    command = ["cargo", "bench", "--bench", "generate", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "generate":
            return Path(message["executable"])
    sys.exit("cargo built no bench named generate")


def runner(bench: Path, block_size: int, tokens: int, seconds: float) -> float:
    words = [bench, block_size, tokens, int(seconds)]
    output = subprocess.run([str(word) for word in words], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])["tokens_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch; default: %(default)s")
    parser.add_argument("--tokens", type=int, default=500, help="of each text; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=3, help="of each run; default: %(default)s")
    parser.add_argument("--runner-bench", type=Path, metavar="PATH", help="default: built with cargo")
    arguments = parser.parse_args()
    bench = arguments.runner_bench or build()
    torch.set_num_threads(arguments.threads)

    print("| Block | PyTorch, tokens/s | runner, tokens/s | runner / PyTorch |\n|--:|--:|--:|--:|")
    for block_size in BLOCK_SIZES:
        theirs, ours = [], []
        for _ in range(arguments.rounds):
            theirs.append(pytorch(block_size, arguments.tokens, arguments.seconds))
            ours.append(runner(bench, block_size, arguments.tokens, arguments.seconds))
        ratios = [b / a for a, b in zip(theirs, ours)]
        ratio = f"{median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        print(f"| {block_size} | {median(theirs):,.0f} | {median(ours):,.0f} | {ratio} |", flush=True)


if __name__ == "__main__":
    main()
