#!/usr/bin/env bash
# Installs what guests need and this machine lacks. First of all steps: an installation may undo the KVM rule.
set -euo pipefail

keyring=${EVERYKERNEL_KEYRING:-/usr/share/keyrings/debian-archive-keyring.gpg}
packages=()
command -v qemu-system-x86_64 >/dev/null || packages+=(qemu-system-x86)
command -v setpriv >/dev/null || packages+=(util-linux)
command -v gpgv >/dev/null || packages+=(gpgv)
[ -e "$keyring" ] || packages+=(debian-archive-keyring)
"$PYTHON" -c 'import ensurepip' 2>/dev/null || packages+=(python3-venv)

if [ ${#packages[@]} -eq 0 ]; then
	echo "all packages are there"
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "::error title=everykernel::this system has no apt-get: install what these bring: ${packages[*]}"
	exit 4
fi
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo)
"${sudo[@]}" apt-get update -q
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
