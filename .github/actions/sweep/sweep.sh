#!/usr/bin/env bash
# Trains the runs of $EXPERIMENT and writes a comment about them. The outputs `results` and `comment` of the step are
# the results folder and the file with the comment. Ends with the exit code of the sweep or, with $COMPARE_WITH and
# $GATE, with that of the comparison.
set -uo pipefail

folder=$(mktemp -d)
comment=$folder/comment.md
read -ra arguments <<< "${ARGUMENTS:-}"

runner sweep "$EXPERIMENT" "${arguments[@]}" --format json > "$folder/events.jsonl"
code=$?
results=$(jq -r 'select(.event == "sweep_started") | .folder' "$folder/events.jsonl")
if [ -z "$results" ]; then
    exit "$code"
fi
runner report "$results" --format pr > "$comment" || exit
if [ -n "${COMPARE_WITH:-}" ]; then
    {
        printf '\n## Compared with %s\n\n' "$COMPARE_WITH"
        runner compare "$COMPARE_WITH:$results" "$results" ${GATE:+--gate "$GATE"}
    } >> "$comment"
    compared=$?
    # A failed run is worse than a worse result.
    if [ "$code" -eq 0 ]; then
        code=$compared
    fi
fi
{
    echo "results=$results"
    echo "comment=$comment"
} >> "${GITHUB_OUTPUT:-/dev/stdout}"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    cat "$comment" >> "$GITHUB_STEP_SUMMARY"
fi
exit "$code"
