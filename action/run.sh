#!/usr/bin/env bash
# Runs what was asked for, and says how it ended. The last step of the action turns that into red or green.
set -uo pipefail

{
	echo "report=$(realpath -m --relative-to="$GITHUB_WORKSPACE" "$REPORT")"
	echo "artifact=$ARTIFACT${SHARD:+${ARTIFACT:+-${SHARD/\//-of-}}}" # a slash is not allowed in a name
} >>"$GITHUB_OUTPUT"
[ -z "$CACHE_FOLDER" ] || export EVERYKERNEL_CACHE=$CACHE_FOLDER

lines() { grep -v '^[[:space:]]*$' <<<"$1" || true; }

fail() { # CODE TEXT
	echo "::error title=everykernel::$2"
	echo "code=$1" >>"$GITHUB_OUTPUT"
	exit 0
}

# Each line is a file, or a pattern as the shell knows them; one that finds nothing is an error.
targets=()
while IFS= read -r line; do
	mapfile -t found < <(compgen -G "$line" | sort)
	[ ${#found[@]} -gt 0 ] || fail 2 "nothing here is called $line"
	targets+=("${found[@]}")
done < <(lines "$OBJECTS")
mapfile -t paths < <(lines "$PYTEST")
mapfile -t parts < <(lines "$MERGE")
kernels=()
mapfile -t further < <(lines "$ARGUMENTS")

asked=0
[ ${#targets[@]} -eq 0 ] && [ -z "$COMMAND" ] || asked=$((asked + 1))
[ ${#paths[@]} -eq 0 ] || asked=$((asked + 1))
[ ${#parts[@]} -eq 0 ] || asked=$((asked + 1))
[ "$asked" -eq 1 ] || fail 2 "one of these is to be given: objects (or command), pytest, merge"

gate=()
[ -z "$BASELINE" ] || gate+=(--baseline "$BASELINE")
if [ ${#parts[@]} -gt 0 ]; then
	kind=merge
	folders=()
	for part in "${parts[@]}"; do
		mapfile -t found < <(compgen -G "$part" | sort)
		[ ${#found[@]} -gt 0 ] || fail 2 "nothing here is called $part: no part of the run left a report"
		folders+=("${found[@]}")
	done
	command=("$BIN/everykernel" report merge "${folders[@]}" -o "$REPORT")
else
	[ -z "$SHARD" ] || gate+=(--partial) # what a baseline says of the other parts is theirs
	[ -z "$KERNELS" ] || kernels=(--kernels "$KERNELS")
	if [ ${#paths[@]} -gt 0 ]; then
		kind=pytest
		command=("$BIN/python" -m pytest "${paths[@]}" --kernel-report "$REPORT" "${kernels[@]}" "${gate[@]/#--/--kernel-}")
		[ "$REUSE" != true ] || command+=(--kernel-reuse)
		[ -z "$SHARD" ] || command+=(--kernel-shard "$SHARD")
	else
		kind=run
		command=("$BIN/everykernel" run "${targets[@]}" --report "$REPORT" "${kernels[@]}" "${gate[@]}")
		[ "$REUSE" != true ] || command+=(--reuse)
		[ -z "$COMMAND" ] || command+=(--cmd "$COMMAND")
		[ -z "$SHARD" ] || command+=(--shard "$SHARD")
	fi
fi

check() { "$BIN/everykernel" report check "$REPORT" "${gate[@]}"; }

"${command[@]}" "${further[@]}"
code=$?
case $kind:$code in # pytest has exit codes of its own
merge:0)
	check
	code=$?
	;;
pytest:1)
	check >/dev/null # items failed: the report knows whether it was a guest that broke
	checked=$?
	[ "$checked" -lt 3 ] || code=$checked
	;;
pytest:4) code=2 ;;
pytest:[2-9]*) code=4 ;;
esac
echo "code=$code" >>"$GITHUB_OUTPUT"
