#!/usr/bin/env bash
# Makes /dev/kvm ours to use where there is one, and opens it to see: permissions alone prove nothing.
set -euo pipefail

device=${EVERYKERNEL_KVM:-/dev/kvm}
rule='KERNEL=="kvm", GROUP="kvm", MODE="0666", OPTIONS+="static_node=kvm"'
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo)

opens() {
	"$PYTHON" -c 'import os, sys; os.close(os.open(sys.argv[1], os.O_RDWR))' "$device" 2>/dev/null
}

if [ ! -e "$device" ]; then
	why="there is no $device"
elif ! opens; then
	if command -v udevadm >/dev/null; then
		# the rule outlives a restart of udev, which a chmod does not
		echo "$rule" | "${sudo[@]}" tee /etc/udev/rules.d/99-everykernel-kvm.rules >/dev/null
		"${sudo[@]}" udevadm control --reload-rules || true
		"${sudo[@]}" udevadm trigger --name-match=kvm --settle || true
	fi
	opens || "${sudo[@]}" chmod 0666 "$device" || true
	opens || why="$device cannot be opened"
fi

if [ -z "${why-}" ]; then
	echo "kvm=true" >>"$GITHUB_OUTPUT"
	echo "$device opens"
else
	echo "kvm=false" >>"$GITHUB_OUTPUT"
	echo "::notice title=everykernel::$why: guests run without hardware virtualisation, several times slower"
fi
