#!/usr/bin/env bash
# Throws away what this job did not use, before what is left is kept for the next one.
set -euo pipefail

export EVERYKERNEL_CACHE=$CACHE_FOLDER
for entry in "$CACHE_FOLDER"/{kernels,images,snapshots}/*; do
	[ -e "$entry" ] || continue
	used=$entry
	[ ! -d "$entry" ] || used=$entry/.last-used
	[ "$used" -nt "$RUNNER_TEMP/everykernel/started" ] || rm -rf "$entry"
done
[ "$CACHE" = snapshots ] || rm -rf "$CACHE_FOLDER/snapshots"
rm -rf "$CACHE_FOLDER/packages" # what kernels and images were unpacked from
"$BIN/everykernel" cache prune --to "$CACHE_LIMIT"
