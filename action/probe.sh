#!/usr/bin/env bash
# Fetches the kernels, and boots one to see that guests come up, and under which accelerator.
set -euo pipefail

[ -z "$CACHE_FOLDER" ] || export EVERYKERNEL_CACHE=$CACHE_FOLDER
if [ -n "$SPECS" ]; then
	IFS=, read -r -a specs <<<"$SPECS"
	"$BIN/everykernel" kernels fetch -- "${specs[@]}" || true # the run says which are not to be had, and what that means
fi
"$BIN/everykernel" doctor
