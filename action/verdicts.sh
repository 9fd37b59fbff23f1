#!/usr/bin/env bash
# Throws away the verdicts that this job neither took nor found, before the others are kept for the next one.
set -euo pipefail

[ -d "$CELLS" ] || exit 0
find "$CELLS" -name '*.json' ! -newer "$RUNNER_TEMP/everykernel/started" -delete
[ -z "$(find "$CELLS" -name '*.json' -print -quit)" ] || echo "kept=true" >>"$GITHUB_OUTPUT"
