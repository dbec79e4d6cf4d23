#!/usr/bin/env bash
# Comments with the files `comment.md` and `pull_request` of a folder that a workflow of a pull request has made. What
# they contain comes from the pull request: only a pull request with the commit $HEAD_SHA gets the comment, and only
# an open one.
set -euo pipefail

number=$(head -c 20 "$1/pull_request" | tr -d '\n')
case $number in
    '' | *[!0-9]*)
        echo "$1/pull_request is no number" >&2
        exit 1
        ;;
esac
head=$(gh api "repos/$GITHUB_REPOSITORY/pulls/$number" | jq -r 'select(.state == "open") | .head.sha')
if [ "$head" != "$HEAD_SHA" ]; then
    echo "pull request $number is not open with the commit $HEAD_SHA" >&2
    exit 1
fi
if [ "$(wc -m < "$1/comment.md")" -gt 65536 ]; then
    echo "$1/comment.md is too long" >&2
    exit 1
fi
PULL_REQUEST=$number COMMENT=$1/comment.md bash "$(dirname "$0")/comment.sh"
