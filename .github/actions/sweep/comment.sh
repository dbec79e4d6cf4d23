#!/usr/bin/env bash
# Writes the file $COMMENT as a comment of the pull request $PULL_REQUEST of $GITHUB_REPOSITORY, in the place of the
# earlier comment with the same marker, which is the first line of the file. Needs `gh` with a token in $GH_TOKEN.
set -euo pipefail

marker=$(head -n 1 "$COMMENT")
case $marker in
    '<!-- runner-report: '*' -->') ;;
    *)
        echo "$COMMENT has no marker in its first line" >&2
        exit 1
        ;;
esac
comments=repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments
earlier=$(gh api --paginate "$comments" |
    jq -r --arg marker "$marker" '.[] | select(.user.type == "Bot" and (.body | startswith($marker))) | .id' | head -n 1)
if [ -n "$earlier" ]; then
    jq -n --rawfile body "$COMMENT" '{body: $body}' |
        gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$earlier" --input - > /dev/null
else
    jq -n --rawfile body "$COMMENT" '{body: $body}' | gh api --method POST "$comments" --input - > /dev/null
fi
