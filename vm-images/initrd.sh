#!/usr/bin/env bash
# initrd.sh TREE: boot/initrd.img, which does nothing but mount the root. The same tree gives the same bytes.
set -euo pipefail
tree=$1
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
find "$initrd" -exec touch -h -d @0 {} +
(cd "$initrd" && find . -print0 | sort -z | cpio --quiet --null --reproducible -o -H newc -R 0:0) | gzip -n -1 >"$tree/boot/initrd.img"
