#!/usr/bin/env bash
# Installs everykernel, and what the tests need beside it, into an environment of its own.
set -euo pipefail

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
	echo "::error title=everykernel::$PYTHON is not Python 3.11 or newer: actions/setup-python installs one"
	exit 4
fi
venv=$RUNNER_TEMP/everykernel/venv
mapfile -t wanted < <(grep -v '^[[:space:]]*$' <<<"$REQUIREMENTS" || true)
"$PYTHON" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${EVERYKERNEL_INSTALL:-$GITHUB_ACTION_PATH}" "${wanted[@]}"

version=$("$venv/bin/everykernel" --version)
qemu=$(qemu-system-x86_64 --version 2>/dev/null | head -n 1 || true) # comments are made without
echo "$version; $qemu"
{
	echo "bin=$venv/bin"
	echo "version=${version##* }"
	echo "qemu=$qemu"
} >>"$GITHUB_OUTPUT"
