#!/usr/bin/env bash
# Shows the report: the job's summary, and annotations at the lines of C that a verifier refused.
set -euo pipefail

limit=1048576 # bytes of a step's summary: what is larger is not shown at all
summary=$REPORT/summary.md
if [ ! -f "$summary" ]; then
	echo "::warning title=everykernel::there is no report in $REPORT: nothing ran"
	exit 0
fi
if [ "$(wc -c <"$summary")" -lt "$limit" ]; then
	cat "$summary" >>"$GITHUB_STEP_SUMMARY"
else
	head -c $((limit - 500)) "$summary" | sed '$d' >>"$GITHUB_STEP_SUMMARY" # the last line may be cut
	printf '\n**This is not all of it:** the rest is in the artifact.\n' >>"$GITHUB_STEP_SUMMARY"
fi
places=(--source-root "$SOURCE_ROOT")
while IFS= read -r line; do
	places+=(--path-map "$line")
done < <(grep -v '^[[:space:]]*$' <<<"$PATH_MAP" || true)
"$BIN/everykernel" report annotate "$REPORT" "${places[@]}" ${BASELINE:+--baseline "$BASELINE"}
