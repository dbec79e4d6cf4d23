#!/usr/bin/env bash
# Runs the campaigns of tests/torture and the fuzz tests for MINUTES in all, after a build, and prints their figures.
# Usage: tests/torture.sh [MINUTES [SEED]]
set -euo pipefail
cd "$(dirname "$0")/.."
minutes=${1:-10} seed=${2:-1}

# Ten campaigns share the time: seven of tests/torture, and three fuzz tests.
export RUNNER_TORTURE_SEED=$seed RUNNER_TESTS_REQUIRE_MOUNT=1
RUNNER_TORTURE_MINUTES=$(awk "BEGIN { print $minutes * 7 / 10 }")
export RUNNER_TORTURE_MINUTES
fuzz_seconds=$(awk "BEGIN { printf \"%d\", $minutes * 60 / 10 }")

# fuzz NAME CASES ARGUMENTS: runs tests with CASES new cases each, again and again until their time is over.
fuzz() {
    local name=$1 cases=$2 all=0 round=0 end=$((SECONDS + fuzz_seconds)) output
    shift 2
    while ((round == 0 || SECONDS < end)); do
        # Each round has other cases, and the same seed gives the same rounds.
        if ! output=$(PROPTEST_CASES=$cases PROPTEST_RNG_SEED=$((seed * 1000000 + round)) "$@" 2>&1); then
            printf '%s\n' "$output"
            printf 'fuzz %s: failed in round %d with seed %d\n' "$name" "$round" "$seed"
            return 1
        fi
        all=$((all + cases)) round=$((round + 1))
    done
    printf 'fuzz %s: %d cases of each test; no crash, no hang\n' "$name" "$all"
}

cargo test --release --no-run --lib --test torture --test config_fuzz --test record_fuzz
cargo test --release --test torture -- --nocapture --test-threads 1
fuzz experiments 2000 cargo test --release --test config_fuzz
fuzz records 200 cargo test --release --test record_fuzz
fuzz tokenizers 400 cargo test --release --lib hostile_files
