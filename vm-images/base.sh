#!/usr/bin/env bash
# base.sh OUT.tar: a minimal Debian 12 with a kernel, systemd and what the scenarios need. About 30 s; needs root.
set -euo pipefail
out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# As this machine fetches Debian's packages, so does the guest's build.
apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' 'Origin: Debian' |
  grep -E ' bookworm(-updates|-security)? ' | sort -u >"$work/sources.list"
[ -s "$work/sources.list" ] || echo 'deb http://deb.debian.org/debian bookworm main' >"$work/sources.list"

packages=(
  systemd systemd-sysv udev kmod iproute2 systemd-boot-efi linux-image-cloud-amd64 busybox-static kexec-tools fsverity
  tpm-udev tpm2-tools libtss2-esys-3.0.2-0 libtss2-mu0 libtss2-rc0 libtss2-tctildr0 libtss2-tcti-device0 libstdc++6
)
include=$(IFS=,; echo "${packages[*]}")
excluded=(man doc doc-base info locale bash-completion lintian bug)

# Our own initrd is made by uki.sh, so Debian's is left out.
INITRD=No mmdebstrap --quiet --variant=minbase --mode=root --format=tar \
  --aptopt='APT::Install-Recommends "false"' \
  "${excluded[@]/#/--dpkgopt=path-exclude=/usr/share/}" \
  --include="$include" \
  --customize-hook='rm -rf "$1"/usr/lib/udev/hwdb.* "$1"/etc/udev/hwdb.* "$1"/boot/initrd* "$1"/var/lib/apt/lists/*' \
  bookworm "$work/base.tar" <"$work/sources.list"
mv "$work/base.tar" "$out"
