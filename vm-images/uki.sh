#!/usr/bin/env bash
# uki.sh TREE KEYS OUT.efi COMMAND-LINE [VERSION]: a signed unified kernel image with an initrd that does nothing but mount the root.
set -euo pipefail
tree=$1 keys=$2 out=$3 command_line=$4 version=${5:-1}
here=$(cd "$(dirname "$0")" && pwd)
kernel=$(basename "$tree"/usr/lib/modules/*)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

modules=(net/core/failover drivers/net/net_failover drivers/virtio/virtio_ring drivers/virtio/virtio
  drivers/virtio/virtio_pci_legacy_dev drivers/virtio/virtio_pci_modern_dev drivers/virtio/virtio_pci
  drivers/block/virtio_blk drivers/char/virtio_console drivers/net/virtio_net)
initrd=$work/initrd
mkdir -p "$initrd"/{bin,dev,proc,sys,root,modules}
cp "$tree/usr/bin/busybox" "$initrd/bin/"
install -m 755 "$here/guest/initrd-init" "$initrd/init"
for module in "${modules[@]}"; do
  cp "$tree/usr/lib/modules/$kernel/kernel/$module.ko" "$initrd/modules/"
  echo "${module##*/}" >>"$initrd/modules/order"
done
(cd "$initrd" && find . -print0 | sort -z | cpio --quiet --null --reproducible -o -H newc -R 0:0) | gzip -n -1 >"$work/initrd.img"

printf '%s' "$command_line" >"$work/cmdline"
printf '%s' "$kernel" >"$work/uname"
{ cat "$tree/usr/lib/os-release"; echo "IMAGE_ID=touchmark-vm"; echo "IMAGE_VERSION=$version"; } >"$work/osrel"
objcopy \
  --add-section .osrel="$work/osrel" --change-section-vma .osrel=0x20000 \
  --add-section .cmdline="$work/cmdline" --change-section-vma .cmdline=0x30000 \
  --add-section .uname="$work/uname" --change-section-vma .uname=0x40000 \
  --add-section .linux="$tree/boot/vmlinuz-$kernel" --change-section-vma .linux=0x2000000 \
  --add-section .initrd="$work/initrd.img" --change-section-vma .initrd=0x4000000 \
  "$tree/usr/lib/systemd/boot/efi/linuxx64.efi.stub" "$work/unsigned.efi"
sbsign --key "$keys/db.key" --cert "$keys/db.crt" --output "$out" "$work/unsigned.efi" 2>/dev/null
