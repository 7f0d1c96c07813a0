#!/usr/bin/env bash
# uki.sh TREE KEYS OUT.efi COMMAND-LINE [VERSION]: a signed unified kernel image of the kernel and the initrd in the tree.
set -euo pipefail
tree=$1 keys=$2 out=$3 command_line=$4 version=${5:-1}
kernel=$(basename "$tree"/usr/lib/modules/*)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

printf '%s' "$command_line" >"$work/cmdline"
printf '%s' "$kernel" >"$work/uname"
{ cat "$tree/usr/lib/os-release"; echo "IMAGE_ID=touchmark-vm"; echo "IMAGE_VERSION=$version"; } >"$work/osrel"
objcopy \
  --add-section .osrel="$work/osrel" --change-section-vma .osrel=0x20000 \
  --add-section .cmdline="$work/cmdline" --change-section-vma .cmdline=0x30000 \
  --add-section .uname="$work/uname" --change-section-vma .uname=0x40000 \
  --add-section .linux="$tree/boot/vmlinuz-$kernel" --change-section-vma .linux=0x2000000 \
  --add-section .initrd="$tree/boot/initrd.img" --change-section-vma .initrd=0x4000000 \
  "$tree/usr/lib/systemd/boot/efi/linuxx64.efi.stub" "$work/unsigned.efi"
sbsign --key "$keys/db.key" --cert "$keys/db.crt" --output "$out" "$work/unsigned.efi" 2>/dev/null
