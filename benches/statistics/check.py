"""Checks the intervals, verdicts and levels of `runner` with scipy and numpy.

Intervals and verdicts of fixed designs are compared with scipy's t-tests. The levels of sequential
designs, which `runner` computes by integration, are estimated from simulated samples.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy import special, stats

ROOT = Path(__file__).resolve().parent.parent.parent
ALPHA = 0.05
# A sequential design keeps a tenth of its error rate for a maximum that is raised later.
SEQUENTIAL_ALPHA = 0.9 * ALPHA
BATCH = 100_000
LARGE_EFFECT = 2.0


def examples(path: Path | None) -> dict:
    """Reads the examples of `runner`, from a file or from the benchmark that prints them."""
    if path is not None:
        return json.loads(path.read_text())
    command = ["cargo", "bench", "--quiet", "--bench", "false_alarms", "--", "examples"]
    printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(printed.stdout.splitlines()[-1])


def check_fixed(cases: list[dict]) -> None:
    """Compares each example with a t interval and a paired t-test."""
    largest = 0.0
    for case in cases:
        alpha = ALPHA / case["comparisons"]
        differences = np.subtract(case["variant"], case["baseline"])
        error = stats.sem(differences)
        low, high = stats.t.interval(1 - alpha, len(differences) - 1, differences.mean(), error)
        largest = max(largest, abs(case["low"] - low) / error, abs(case["high"] - high) / error)
        test = stats.ttest_rel(case["variant"], case["baseline"])
        expected = "Inconclusive" if test.pvalue >= alpha else "Worse" if test.statistic > 0 else "Better"
        if case["verdict"] != expected:
            sys.exit(f"scipy's verdict is {expected}, and the one of runner {case['verdict']}: {case}")
    if largest > 1e-6:
        sys.exit(f"an end of an interval differs by {largest:.1e} standard errors")
    verdicts = [case["verdict"] for case in cases]
    counts = ", ".join(f"{verdicts.count(name)} {name.lower()}" for name in sorted(set(verdicts)))
    print(f"{len(cases)} fixed comparisons ({counts}): all verdicts agree with scipy.stats.ttest_rel.")
    print(f"The ends of the intervals differ by at most {largest:.1e} standard errors.\n")


def p_values(samples: np.ndarray, first: int) -> np.ndarray:
    """Two-sided p-values of the t-test at each look from `first` on. (samples, seeds) to (samples, looks)."""
    n = np.arange(1, samples.shape[1] + 1)
    means = np.cumsum(samples, axis=1) / n
    squares = np.cumsum(samples**2, axis=1) - n * means**2
    n, means, squares = n[first - 1 :], means[:, first - 1 :], squares[:, first - 1 :]
    t = means / np.sqrt(squares / (n - 1) / n)
    return 2 * special.stdtr(n - 1, -np.abs(t))


def normal_batches(total: int, seeds: int, seed: int) -> Iterator[np.ndarray]:
    generator = np.random.default_rng(seed)
    for _ in range(total // BATCH):
        yield generator.standard_normal((BATCH, seeds))


def simulated_slopes(first: int, last: int, alphas: list[float], total: int) -> list[float]:
    """The slope of levels that grow with the number of seeds, such that equal variants have this rate.

    A sample is called different if p < slope * n at any look, which means that its least p / n is below
    the slope. The slope is therefore a quantile of the least p / n.
    """
    n = np.arange(first, last + 1)
    least = [(p_values(batch, first) / n).min(axis=1) for batch in normal_batches(total, last, last)]
    return list(np.quantile(np.concatenate(least), alphas))


def check_levels(designs: list[dict], total: int) -> None:
    print(f"Sequential designs, {total:,} simulated samples each\n")
    print("| Comparisons | Looks | Levels of runner | Simulated levels | Relative difference | Standard error |")
    print("|--:|:--|:--|:--|--:|--:|")
    for first, last in sorted({(design["first"], design["last"]) for design in designs}):
        alike = [design for design in designs if (design["first"], design["last"]) == (first, last)]
        alphas = [SEQUENTIAL_ALPHA / design["comparisons"] for design in alike]
        slopes = simulated_slopes(first, last, alphas, total)
        for design, alpha, slope in zip(alike, alphas, slopes):
            levels = np.array(design["levels"])
            difference = np.abs(levels / (slope * np.arange(first, last + 1)) - 1).max()
            # The rate is nearly proportional to the slope, and has a binomial standard error.
            error = 1 / np.sqrt(alpha * total)
            print(
                f"| {design['comparisons']} | {first} to {last} | {levels[0]:.5f} to {levels[-1]:.5f} "
                f"| {slope * first:.5f} to {slope * last:.5f} | {100 * difference:.2f} % | {100 * error:.2f} % |"
            )
            if difference > 4 * error:
                sys.exit("the levels differ by more than chance")


def print_power(designs: list[dict], total: int) -> None:
    print(f"\nPower of one comparison for a true difference of {LARGE_EFFECT} standard deviations\n")
    print("| Comparisons | Looks | Power | Mean number of seeds |\n|--:|:--|--:|--:|")
    for design in designs:
        if (design["first"], design["last"]) != (3, 12):
            continue
        found, seeds = 0, 0
        for batch in normal_batches(total, 12, 1):
            crossed = p_values(batch + LARGE_EFFECT, 3) < np.array(design["levels"])
            decided = crossed.any(axis=1)
            found += decided.sum()
            seeds += np.where(decided, 3 + crossed.argmax(axis=1), 12).sum()
        print(f"| {design['comparisons']} | 3 to 12 | {100 * found / total:.2f} % | {seeds / total:.2f} |")


def print_family_rates(designs: list[dict], total: int) -> None:
    print("\nFamilies of 3 equal variants that share a baseline: rate of false alarms\n")
    print("| Looks | Rate |\n|:--|--:|")
    comparisons = 3
    levels = {"5": np.array([ALPHA / comparisons])}
    for design in designs:
        if design["comparisons"] == comparisons and (design["first"], design["last"]) == (3, 12):
            levels["3 to 12"] = np.array(design["levels"])
    for looks, level in levels.items():
        first, last = (5, 5) if len(level) == 1 else (3, 12)
        alarms = 0
        generator = np.random.default_rng(2)
        for _ in range(total // BATCH):
            runs = generator.standard_normal((comparisons + 1, BATCH, last))
            crossed = [(p_values(variant - runs[0], first) < level).any(axis=1) for variant in runs[1:]]
            alarms += np.any(crossed, axis=0).sum()
        print(f"| {looks} | {100 * alarms / total:.2f} % |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=Path, help="what `cargo bench --bench false_alarms -- examples` prints")
    parser.add_argument("--samples", type=int, default=2_000_000, help="default: %(default)s")
    arguments = parser.parse_args()
    found = examples(arguments.examples)
    check_fixed(found["fixed"])
    check_levels(found["sequential"], arguments.samples)
    print_power(found["sequential"], arguments.samples)
    print_family_rates(found["sequential"], arguments.samples)


if __name__ == "__main__":
    main()
