#!/usr/bin/env bash
# esp.sh UKI.efi OUT.img: a disk with a GUID partition table and an EFI system partition that boots this image.
set -euo pipefail
uki=$1 out=$2
export MTOOLS_SKIP_CHECK=1
rm -f "$out.new"
truncate -s 68M "$out.new"
PATH="$PATH:/usr/sbin" sfdisk -q "$out.new" <<'T'
label: gpt
label-id: 5c1e8c0a-52f1-4b0e-9f43-6f0c0b0f6d01
start=2048, size=64M, type=c12a7328-f81f-11d2-ba4b-00a0c93ec93b, name=esp, uuid=5c1e8c0a-52f1-4b0e-9f43-6f0c0b0f6d02
T
esp=$out.new@@1M
mformat -i "$esp" -F -T 131072 -h 64 -s 32 ::
mmd -i "$esp" ::EFI ::EFI/BOOT
mcopy -i "$esp" "$uki" ::EFI/BOOT/BOOTX64.EFI
mv "$out.new" "$out"
