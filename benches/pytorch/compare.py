"""Runs `runner` and PyTorch in turn on the same training steps and prints a markdown table of both.

Needs nothing but PyTorch for bench.py. Leave the machine alone meanwhile: two programs that share
its cores measure each other.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SIZES = ("names", "baby", "ten")
IMPLEMENTATIONS = ("PyTorch eager", "PyTorch compile", "runner")
PYTORCH = IMPLEMENTATIONS[:2]


def build() -> Path:
    """Builds benches/step.rs and returns the path of the program."""
    command = ["cargo", "bench", "--bench", "step", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "step":
            return Path(message["executable"])
    sys.exit("cargo built no bench named step")


def command(implementation: str, size: str, arguments: argparse.Namespace) -> list[str]:
    threads, seconds = str(arguments.threads), str(arguments.seconds)
    if implementation == "runner":
        return [str(arguments.runner_bench), size, threads, seconds]
    bench = [sys.executable, str(HERE / "bench.py"), size, "--threads", threads, "--seconds", seconds]
    return [*bench, "--compile"] if implementation == "PyTorch compile" else bench


def measure(words: list[str]) -> dict:
    """Runs a benchmark and returns its line of JSON. Adds the peak memory if it is missing."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(words)} ended with {process.returncode}")
    result = json.loads(output.splitlines()[-1])
    unit = 1 if sys.platform == "darwin" else 1024
    result.setdefault("peak_memory_mb", usage.ru_maxrss * unit / 2**20)
    return result


def medians(rounds: list[dict[str, dict]], key: str) -> dict[str, float]:
    """Medians over the rounds, per implementation."""
    return {name: median(results[name][key] for results in rounds) for name in IMPLEMENTATIONS}


def speed_row(size: str, rounds: list[dict[str, dict]]) -> list[str]:
    def ratio(results: dict[str, dict]) -> float:
        best = max(results[name]["tokens_per_second"] for name in PYTORCH)
        return results["runner"]["tokens_per_second"] / best

    speeds = [f"{speed:,.0f}" for speed in medians(rounds, "tokens_per_second").values()]
    ratios = [ratio(results) for results in rounds]
    times = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    memory = medians(rounds, "peak_memory_mb")
    least = min(memory[name] for name in PYTORCH)
    megabytes = [f"{memory[name]:,.0f}" for name in IMPLEMENTATIONS]
    return [size, *speeds, times, *megabytes, f"{memory['runner'] / least:.2f}"]


def utilisation_row(size: str, rounds: list[dict[str, dict]]) -> list[str]:
    rates, shares = medians(rounds, "matmul_gflops"), medians(rounds, "mfu")
    numbers = [f"{rates['PyTorch eager']:,.0f}", f"{rates['runner']:,.0f}"]
    return [size, *numbers, *(f"{100 * shares[name]:.0f} %" for name in IMPLEMENTATIONS)]


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def report(measured: dict[str, list[dict[str, dict]]]) -> str:
    speeds = [f"{name}, tokens/s" for name in IMPLEMENTATIONS]
    memory = [f"{name}, MiB" for name in IMPLEMENTATIONS]
    speed_header = ["Size", *speeds, "runner / best PyTorch", *memory, "runner / least PyTorch"]
    products = ["PyTorch products, GFLOP/s", "runner products, GFLOP/s"]
    utilisation_header = ["Size", *products, *(f"{name}, utilisation" for name in IMPLEMENTATIONS)]
    return "\n".join(
        [
            "Medians over the rounds. The ratio of speeds is taken within each round, to the faster of eager and",
            "compile; in brackets are the lowest and the highest round. Memory is the peak of the whole process.",
            "",
            table(speed_header, [speed_row(size, rounds) for size, rounds in measured.items()]),
            "",
            "Utilisation is the floating-point operations of the model (forward and backward, the causal half of",
            "attention once), over what the same threads do in the matrix products of its shapes, measured between",
            "the steps, each with its own library.",
            "",
            table(utilisation_header, [utilisation_row(size, rounds) for size, rounds in measured.items()]),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES, metavar="SIZE")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--seconds", type=int, default=5, help="of each run; default: %(default)s")
    parser.add_argument("--runner-bench", type=Path, metavar="PATH", help="default: built with cargo")
    arguments = parser.parse_args()
    if arguments.runner_bench is None:
        arguments.runner_bench = build()

    measured = {}
    for size in arguments.sizes:
        rounds = measured[size] = []
        for number in range(1, arguments.rounds + 1):
            results = {}
            for name in IMPLEMENTATIONS:
                results[name] = measure(command(name, size, arguments))
                speed = results[name]["tokens_per_second"]
                print(f"{size}, round {number}: {name} {speed:,} tokens/s", file=sys.stderr)
            rounds.append(results)
    print(report(measured))


if __name__ == "__main__":
    main()
