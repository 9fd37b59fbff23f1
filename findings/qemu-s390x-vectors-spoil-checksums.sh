#!/usr/bin/env bash
# With its vector facility, QEMU 7.2's s390x sends TCP resets whose checksum Linux 6.12 finds wrong.
#
# qemu-system-s390x 7.2.22 (Debian 12) under TCG, Linux 6.12.107 (Debian 13), two processors:
#   a connection to a port of 127.0.0.1 at which nobody listens is refused at once everywhere else. Here it times out:
#   the reset is dropped on its way back through the loopback, and the kernel counts a checksum error for it.
#   With "-cpu max,vx=off", or on another processor without vectors, it is refused.
# Seen: "max": timed out, InCsumErrors above 0; "max,vx=off": refused, InCsumErrors 0.
# Needs the libraries of qemu-system-x86, and bsdtar.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq qemu-system-misc=1:7.2+dfsg-7+deb12u18+b3 qemu-system-data=1:7.2+dfsg-7+deb12u18 2>/dev/null
for package in *.deb; do dpkg-deb -x "$package" root; done
fetch() { # URL SHA256 FOLDER
	curl -sSfo package.deb "$1"
	echo "$2  package.deb" | sha256sum -c --quiet
	dpkg-deb -x package.deb "$3"
}
pool=$(apt-get indextargets --format '$(REPO_URI)' | grep -m1 '/debian/$')pool/main # of the mirror that apt uses
fetch "$pool/l/linux/linux-image-6.12.107+deb13-s390x_6.12.107-1_s390x.deb" \
	72f968758d4ffbb07ad0887d968beec650f961fdc9d3fabcf87a678626ddfd26 kernel
fetch "$pool/b/busybox/busybox-static_1.35.0-4+deb12u1+b1_s390x.deb" \
	65e29a4dea3ca365e9ee73a6b4fa2a42c8cbbd3b13753250e68b4835876fe316 guest
mkdir -p guest/proc guest/dev
cat > guest/init <<'SH'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox ip link set lo up
/bin/busybox nc -w 5 127.0.0.1 7100 2>&1
/bin/busybox awk '$1 == "Tcp:" && $2 ~ /[0-9]/ { print "InCsumErrors", $NF }' /proc/net/snmp
/bin/busybox poweroff -f
SH
chmod 755 guest/init
(cd guest && bsdtar --format=newc --uid 0 --gid 0 -cf ../initrd .)
root/usr/bin/qemu-system-s390x --version | head -n 1
for cpu in max max,vx=off; do
	echo "-cpu $cpu:"
	timeout 120 root/usr/bin/qemu-system-s390x -L root/usr/share/qemu -M s390-ccw-virtio -accel tcg,thread=single \
		-cpu "$cpu" -smp 2 -m 512 -nodefaults -nographic -serial stdio -no-reboot -kernel kernel/boot/vmlinuz-* \
		-initrd initrd -append "console=ttysclp0 loglevel=1" | tr -d '\r' | grep -E '^nc:|^InCsumErrors' | tee "seen-$cpu"
done
grep -q "timed out" seen-max && grep -q "InCsumErrors [1-9]" seen-max
grep -q "refused" seen-max,vx=off && grep -q "InCsumErrors 0" seen-max,vx=off
