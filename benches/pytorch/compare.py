"""Runs `runner`, PyTorch and JAX in turn on the same training steps and prints markdown tables.

Leave the machine alone meanwhile: two programs that share its cores measure each other.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SIZES = ("names", "baby", "ten")
RUNNER, RUNNER_BF16 = "runner", "runner bf16"

# Arguments of Python for each program besides `runner`.
PROGRAMS = {
    "PyTorch eager": ["bench.py"],
    "PyTorch compile": ["bench.py", "--compile"],
    "PyTorch eager bf16": ["bench.py", "--bf16"],
    "PyTorch compile bf16": ["bench.py", "--compile", "--bf16"],
    "JAX": ["bench_jax.py"],
}

# What `runner` is compared with: the fastest of these programs in each round.
RIVALS = {
    "best PyTorch": ["PyTorch eager", "PyTorch compile"],
    "best PyTorch bf16": ["PyTorch eager bf16", "PyTorch compile bf16"],
    "JAX": ["JAX"],
}

# The columns of ratios.
COMPARISONS = [
    (RUNNER, "best PyTorch"),
    (RUNNER, "best PyTorch bf16"),
    (RUNNER_BF16, "best PyTorch bf16"),
    (RUNNER, "JAX"),
]

Round = dict[str, dict]  # results by the name of the program


def has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 matrices. Only Linux says so."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text().split() if cpuinfo.exists() else []
    return "avx512_bf16" in flags or "amx_bf16" in flags


def programs_of_this_machine() -> list[str]:
    """The programs that can be measured. Prints why others are left out."""
    programs = [*PROGRAMS, RUNNER, RUNNER_BF16]
    if not has_bf16():
        programs = [program for program in programs if "bf16" not in program]
        print("bf16 is left out: the processor has neither avx512_bf16 nor amx_bf16.\n")
    if not (importlib.util.find_spec("jax") and importlib.util.find_spec("optax")):
        programs.remove("JAX")
        print("JAX is left out: jax and optax are not both installed.\n")
    return programs


def build() -> Path:
    """Builds benches/step.rs and returns the path of the program."""
    command = ["cargo", "bench", "--bench", "step", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "step":
            return Path(message["executable"])
    sys.exit("cargo built no bench named step")


def command(program: str, size: str, arguments: argparse.Namespace) -> list[str]:
    threads, seconds = str(arguments.threads), str(arguments.seconds)
    if program in (RUNNER, RUNNER_BF16):
        return [str(arguments.runner_bench), size, threads, seconds, "bf16" if program == RUNNER_BF16 else "f32"]
    script, *options = PROGRAMS[program]
    return [sys.executable, str(HERE / script), size, *options, "--threads", threads, "--seconds", seconds]


def measure(words: list[str]) -> dict:
    """Runs a benchmark and returns its line of JSON."""
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def medians(rounds: list[Round], key: str) -> dict[str, float]:
    """Medians over the rounds, per program."""
    return {program: median(results[program][key] for results in rounds) for program in rounds[0]}


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, [":--", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def speed_table(measured: dict[str, list[Round]], programs: list[str]) -> str:
    comparisons = [(ours, rival) for ours, rival in COMPARISONS if RIVALS[rival][0] in programs]

    def ratio(ours: str, rival: str, rounds: list[Round]) -> str:
        ratios = []
        for results in rounds:
            best = max(results[program]["tokens_per_second"] for program in RIVALS[rival])
            ratios.append(results[ours]["tokens_per_second"] / best)
        return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"

    rows = []
    for size, rounds in measured.items():
        speeds = [f"{speed:,.0f}" for speed in medians(rounds, "tokens_per_second").values()]
        rows.append([size, *speeds, *(ratio(*comparison, rounds) for comparison in comparisons)])
    speeds = [f"{program}, tokens/s" for program in programs]
    return table(["Size", *speeds, *(f"{ours} / {rival}" for ours, rival in comparisons)], rows)


def memory_table(measured: dict[str, list[Round]], programs: list[str]) -> str:
    rows = []
    for size, rounds in measured.items():
        memory = medians(rounds, "peak_memory_mb")
        least = min(memory[program] for program in programs if program in PROGRAMS)
        rows.append([size, *(f"{mb:,.0f}" for mb in memory.values()), f"{memory[RUNNER] / least:.2f}"])
    return table(["Size", *(f"{program}, MiB" for program in programs), "runner / least of the others"], rows)


def utilization_table(measured: dict[str, list[Round]], programs: list[str]) -> str:
    rows = []
    for size, rounds in measured.items():
        rates, shares = medians(rounds, "matmul_gflops"), medians(rounds, "mfu")
        rows.append([size, *(f"{rates[program]:,.0f}, {100 * shares[program]:.0f} %" for program in programs)])
    return table(["Size", *programs], rows)


def report(measured: dict[str, list[Round]], programs: list[str]) -> str:
    return "\n".join(
        [
            "Medians over the rounds. The ratio of speeds is taken within each round, to the faster of eager and",
            "compile; in brackets are the lowest and the highest round.",
            "",
            speed_table(measured, programs),
            "",
            "Memory is the peak of the whole process.",
            "",
            memory_table(measured, programs),
            "",
            "GFLOP/s of the matrix products of the model's shapes, measured between the steps, each program with its",
            "own library. Then utilization: the floating-point operations of the model (forward and backward, the",
            "causal half of attention once) per second, divided by that rate.",
            "",
            utilization_table(measured, programs),
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
    programs = programs_of_this_machine()
    if arguments.runner_bench is None:
        arguments.runner_bench = build()

    measured = {}
    for size in arguments.sizes:
        rounds = measured[size] = []
        for number in range(1, arguments.rounds + 1):
            results = {}
            for program in programs:
                results[program] = measure(command(program, size, arguments))
                speed = results[program]["tokens_per_second"]
                print(f"{size}, round {number}: {program} {speed:,} tokens/s", file=sys.stderr)
            rounds.append(results)
    print(report(measured, programs))


if __name__ == "__main__":
    main()
