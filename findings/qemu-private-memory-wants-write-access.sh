#!/usr/bin/env bash
# QEMU 7.2 wants to write to a memory file of which it only takes a private copy.
#
# -object memory-backend-file,share=off maps the file copy-on-write: nothing that the guest does reaches it, so a file
# that its user may only read should do (a snapshot shared by many users). QEMU opens it for reading and writing all the
# same and refuses; readonly=on opens it, and leaves the guest memory that it cannot write to. QEMU 8.2 added rom=off.
# Seen: "can't open backing store … Permission denied" as an ordinary user; no such complaint where the file is writable.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq qemu-system-x86=1:7.2+dfsg-7+deb12u18+b3 qemu-system-data seabios 2>/dev/null
for package in *.deb; do dpkg-deb -x "$package" root; done
qemu=$folder/root/usr/bin/qemu-system-x86_64
"$qemu" --version | head -n 1

truncate -s 64M memory
chown 65534 memory
start() {
	echo quit | timeout 20 setpriv --reuid 65534 --regid 65534 --clear-groups "$qemu" -L root/usr/share/qemu \
		-L root/usr/share/seabios -nodefaults -display none -vga none -S -monitor stdio -m 64M -M q35,memory-backend=ram \
		-object memory-backend-file,id=ram,size=64M,mem-path="$folder/memory",share=off 2>&1 || true
}
chmod 400 memory
refused=$(start)
chmod 600 memory
taken=$(start)
echo "read-only file:  $refused" | grep -o 'read-only.*' | sed "s#$folder/##"
grep -q "can't open backing store.*Permission denied" <<<"$refused" || { echo "a file for reading is enough now"; exit 1; }
grep -q "QEMU 7.2" <<<"$taken" && ! grep -q "backing store" <<<"$taken" || { echo "refused though writable: $taken"; exit 1; }
echo "writable file:   taken"
