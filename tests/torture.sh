#!/usr/bin/env bash
# Runs the campaigns of tests/torture for MINUTES in all, and prints their figures.
# Usage: tests/torture.sh [MINUTES [SEED]]
set -euo pipefail
cd "$(dirname "$0")/.."
export RUNNER_TORTURE_MINUTES=${1:-10} RUNNER_TORTURE_SEED=${2:-1}
cargo test --release --test torture -- --nocapture --test-threads 1
