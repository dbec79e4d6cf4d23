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
    runner compare "$COMPARE_WITH:$results" "$results" ${GATE:+--gate "$GATE"} > "$folder/compared.md"
    compared=$?
    # GitHub refuses comments of more than 65,536 characters.
    if [ -s "$folder/compared.md" ] && [ "$(wc -m < "$folder/compared.md")" -lt 5000 ]; then
        printf '\n## Compared with %s\n\n' "$COMPARE_WITH" >> "$comment"
        cat "$folder/compared.md" >> "$comment"
    fi
    # Only a run that failed or an interruption is worse than a worse result.
    case $code in
        0 | 3 | 4) [ "$compared" -eq 0 ] || code=$compared ;;
    esac
fi
{
    echo "results=$results"
    echo "comment=$comment"
} >> "${GITHUB_OUTPUT:-/dev/stdout}"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
    cat "$comment" >> "$GITHUB_STEP_SUMMARY"
fi
exit "$code"
