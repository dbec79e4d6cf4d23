#!/bin/sh
# Tries the changes that ./propose prints, such as optimizer.lr=0.01, and keeps those that are better. ./propose gets
# the name of the log, and fails when it has no more changes. Needs jq.
# shellcheck disable=SC2086  # kept changes are words without spaces
best='' candidate=''
while change=$(./propose loop.tsv); do
  # A later value of a setting replaces an earlier one.
  runner sweep loop.yaml $best $candidate "sweep.variants.candidate.$change" \
    --exit-verdict candidate --format json > events.jsonl
  case $? in 0) verdict=keep ;; 1) verdict=failed ;; 3) verdict=discard ;; 4) verdict=undecided ;; 130) exit 130 ;; *) verdict=invalid ;; esac
  numbers=$(jq -rn '[inputs] | last | [.report.variants[]? | {(.name): .}] | add
    | [.candidate.difference.mean, .candidate.difference.low, .candidate.difference.high, .best.sd] | @tsv' events.jsonl)
  printf '%s\t%s\t%s\n' "$verdict" "$change" "$numbers" >> loop.tsv
  [ $verdict = keep ] || continue
  best="$best sweep.variants.best.$change" candidate="$candidate sweep.variants.candidate.$change"
done
# All kept changes together against the start, with new seeds and on the test split.
[ -n "$candidate" ] || exit 0
runner sweep loop.yaml name=final 'sweep.seeds=[101, 102, 103, 104, 105]' $candidate
runner confirm results/final candidate
