#!/usr/bin/env bash
# Says what is kept between runs, where, and under which key, so that it is found again and never stale for long.
#
# What a lock names is kept under its digest. Without a lock, "6.1" is the newest 6.1: what is kept is renewed each week.
# A snapshot is of use only to the same everykernel, QEMU, accelerator and CPU.
set -euo pipefail

specs=$(
	"$BIN/python" - "$KERNELS" <<-'PYTHON'
		import sys
		from pathlib import Path
		from everykernel import settings

		project = settings.read(Path.cwd())
		named = [part.strip() for part in sys.argv[1].split(",") if part.strip()] or project.get("kernels", [])
		print(*settings.expanded(named, project), sep=",")
	PYTHON
)
echo "specs=$specs" >>"$GITHUB_OUTPUT"

if [ "$REUSE" != true ] && [ "$REUSE" != false ]; then
	echo "::error title=everykernel::reuse is true or false, not '$REUSE'"
	exit 2
fi
folder=$RUNNER_TEMP/everykernel/cache
case $CACHE in
none)
	echo "folder=" >>"$GITHUB_OUTPUT" # the user's own, which a runner of one's own keeps
	exit 0
	;;
kernels) kept=(kernels images) ;;
snapshots) kept=(kernels images snapshots) ;;
*)
	echo "::error title=everykernel::cache is kernels, snapshots or none, not '$CACHE'"
	exit 2
	;;
esac

digest() { sha256sum | cut -c1-16; }
if [ "$REUSE" = true ]; then # each job's verdicts are its own; a run's are under its number, found by what they begin with
	own=$(printf '%s\0' "$GITHUB_JOB" "$SHARD" "$specs" "$OBJECTS" "$COMMAND" "$PYTEST" | digest)
	verdicts=everykernel-1-cells-$RUNNER_ARCH-$own-
	{
		echo "cells=$folder/cells"
		echo "verdicts-prefix=$verdicts"
		echo "verdicts=$verdicts$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT"
	} >>"$GITHUB_OUTPUT"
fi
if [ -f everykernel.lock ]; then
	what=$(cat <(echo "$specs") everykernel.lock | digest)
else
	what=$(echo "$specs" | digest)-$(date -u +%G-W%V)
fi
prefix=everykernel-1-$CACHE-$RUNNER_ARCH-
if [ "$CACHE" = snapshots ]; then
	cpu=$(grep -m 1 '^model name' /proc/cpuinfo || true)
	prefix+=$(echo "$VERSION $QEMU kvm=$KVM $cpu" | digest)-
fi
umask 077 # a cache that others can write is refused
mkdir -p "$folder"
touch "$RUNNER_TEMP/everykernel/started"
{
	echo "folder=$folder"
	echo "prefix=$prefix"
	echo "key=$prefix$what"
	echo "paths<<END-OF-PATHS"
	printf "$folder/%s\n" "${kept[@]}"
	echo "END-OF-PATHS"
} >>"$GITHUB_OUTPUT"
