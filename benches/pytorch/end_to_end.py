"""Runs the sweep of end_to_end.yaml with `runner` and the same runs with PyTorch (sweep.py), in turn.

Measures the seconds of each program from its start to its end: start-up, data, tokenizing, training, evaluation,
samples and report of 18 runs. Prints markdown tables. Leave the machine alone meanwhile.
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, median
from time import perf_counter

from common import SIZES

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SWEEP = HERE / "end_to_end.yaml"
PLAYS_BYTES = 5_000_000
RUNNER = "runner"
CACHED = ", cached"

# For each program in PyTorch: options of sweep.py, and whether a process per thread shares the runs. Only the one
# called "cached" finds compiled code: that of the program before it.
PROGRAMS = {
    "PyTorch eager": ([], False),
    "PyTorch compile": (["--compile"], False),
    f"PyTorch compile{CACHED}": (["--compile"], False),
    "PyTorch eager, a process per thread": ([], True),
    "PyTorch compile, a process per thread": (["--compile"], True),
}

Losses = dict[str, list[float]]  # validation losses of the seeds, by variant


def run_together(commands: list[list[str]], **variables: str) -> float:
    """Starts all commands at once, with environment variables, and returns the seconds until the last one ends."""
    environment = {**os.environ, **variables}
    started = perf_counter()
    running = [subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL) for words in commands]
    codes = [process.wait() for process in running]
    seconds = perf_counter() - started
    if any(codes):
        sys.exit(f"a command ended with an error: {commands}")
    return seconds


def runner_sweep(runner: Path, overrides: list[str], results: Path) -> list[str]:
    return [str(runner), "sweep", str(SWEEP), *overrides, "--device", "cpu", "--results", str(results)]


def run_runner(out: Path, text: Path, arguments: argparse.Namespace) -> float:
    n_layer, n_head, n_embd, block_size, batch_size = SIZES[arguments.size]
    overrides = [
        f"data.source={text}",
        f"model={{n_layer: {n_layer}, n_head: {n_head}, n_embd: {n_embd}, block_size: {block_size}}}",
        f"train={{steps: {arguments.steps}, batch_size: {batch_size}}}",
    ]
    if arguments.size == "names":
        overrides.append("tokenizer.kind=char")
    return run_together([runner_sweep(arguments.runner, overrides, out)])


def run_pytorch(program: str, out: Path, text: Path, arguments: argparse.Namespace) -> float:
    options, is_divided = PROGRAMS[program]
    processes = arguments.threads if is_divided else 1
    command = [sys.executable, str(HERE / "sweep.py"), str(text), "--out", str(out), *options]
    command += ["--size", arguments.size, "--steps", str(arguments.steps)]
    command += ["--threads", str(arguments.threads // processes)]
    commands = [[*command, "--part", str(i + 1), str(processes)] for i in range(processes)]
    # The compiler does not accept spaces.
    cache = out.parent / program.removesuffix(CACHED).replace(" ", "-").replace(",", "")
    return run_together(commands, TORCHINDUCTOR_CACHE_DIR=str(cache))


def read_losses(out: Path) -> Losses:
    """Reads the summary of `runner` or the results of sweep.py."""
    losses = {}
    for path in [*out.glob("*/summary.csv"), *out.glob("results-*.csv")]:
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                losses.setdefault(row["variant"], []).append(float(row["val_loss"]))
    return losses


def write_plays(runner: Path, folder: Path) -> Path:
    """Writes the text of `builtin:plays` to a file. With a tokenizer of bytes, the tokens of a sweep are the text."""
    overrides = [f"data={{source: builtin:plays, plays_bytes: {PLAYS_BYTES}}}", "tokenizer.kind=byte", "sweep=null"]
    overrides += ["model.kind=bigram", "train.steps=1", "optimizer.schedule.warmup_steps=0", "sample.tokens=0"]
    run_together([runner_sweep(runner, overrides, folder)])
    splits = [next(folder.glob(f"*/cache/**/{split}.bin")) for split in ("train", "val")]
    text = folder / "plays.txt"
    text.write_bytes(b"".join(split.read_bytes()[::2] for split in splits))  # two bytes for each token
    return text


def report(seconds: dict[str, list[float]], losses: dict[str, Losses]) -> str:
    lines = ["| Program | Seconds | Program / runner | Mean validation loss |", "|:--|--:|--:|--:|"]
    for program, times in seconds.items():
        ratios = [time / runner for time, runner in zip(times, seconds[RUNNER])]
        ratio = "1" if program == RUNNER else f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        loss = mean(value for values in losses[program].values() for value in values)
        lines.append(f"| {program} | {median(times):.1f} | {ratio} | {loss:.4f} |")
    lines += ["", "Mean validation loss of each variant, nats per token:", ""]
    lines += [f"| Variant | {' | '.join(losses)} |", f"|:--|{'--:|' * len(losses)}"]
    for variant in losses[RUNNER]:
        means = [f"{mean(of_program[variant]):.4f}" for of_program in losses.values()]
        lines.append(f"| {variant} | {' | '.join(means)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path, nargs="?", help="a text file; default: the text of builtin:plays")
    parser.add_argument("--size", choices=("ablation", "names"), default="ablation", help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=500, help="of each run, at least 100; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="only runner, and PyTorch in one process without a cache")
    parser.add_argument("--runner", type=Path, default=ROOT / "target/release/runner", help="default: %(default)s")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        # `runner` uses all cores of the process. Both programs get as many cores as PyTorch has threads.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])

    programs = [RUNNER, *list(PROGRAMS)[: 2 if arguments.quick else None]]
    seconds = {program: [] for program in programs}
    losses = {}
    with tempfile.TemporaryDirectory() as folder:
        text = arguments.text.resolve() if arguments.text else write_plays(arguments.runner, Path(folder))
        for number in range(1, arguments.rounds + 1):
            for i, program in enumerate(programs):
                out = Path(folder) / f"round-{number}" / str(i)
                if program == RUNNER:
                    taken = run_runner(out, text, arguments)
                else:
                    taken = run_pytorch(program, out, text, arguments)
                seconds[program].append(taken)
                losses[program] = read_losses(out)
                print(f"round {number}: {program} {taken:.1f} s", file=sys.stderr)
    print(report(seconds, losses))


if __name__ == "__main__":
    main()
