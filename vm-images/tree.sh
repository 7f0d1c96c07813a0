#!/usr/bin/env bash
# tree.sh BASE.tar KEYS TREE: unpacks the base and makes a Touchmark host of it; the agent itself comes with image.sh. Needs root.
set -euo pipefail
base=$1 keys=$2 tree=$3
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
rm -rf "$tree"
mkdir -p "$tree"
# Perl is there for maintainer scripts, and the big drivers for other machines.
tar -xf "$base" -C "$tree" --exclude='./dev/*' --exclude='./usr/share/perl*' --exclude='./usr/lib/*/perl*' \
  --exclude='*/kernel/drivers/net/ethernet/*' --exclude='*/kernel/fs/xfs/*' --exclude='*/kernel/fs/btrfs/*' \
  --exclude='*/kernel/fs/smb/*' --exclude='*/kernel/arch/x86/kvm/*'

units=$tree/usr/lib/systemd/system
install -m 644 "$root"/systemd/*.service "$root"/systemd/*.socket "$here"/guest/*.service "$units/"
rm -f "$units/touchmark-server.service"
install -D -m 644 "$root/systemd/touchmark.sysusers" "$tree/usr/lib/sysusers.d/touchmark.conf"
install -D -m 644 "$root/systemd/ima-policy" "$tree/etc/ima/ima-policy"
install -m 755 "$here/guest/line-shell" "$tree/usr/sbin/line-shell"
chroot "$tree" systemd-sysusers
chroot "$tree" systemctl -q enable line-shell network touchmark-agent.socket touchmark-agent-admin.socket touchmark-agent
chroot "$tree" systemctl -q mask getty.target systemd-logind.service systemd-timesyncd.service kexec.service kexec-load.service \
  systemd-networkd.service e2scrub_reap.service
rm -rf "$tree"/etc/systemd/system/timers.target.wants "$units"/timers.target.wants
echo touchmark-vm >"$tree/etc/hostname"
echo '127.0.0.1 localhost touchmark-vm' >"$tree/etc/hosts"
echo '/dev/vdb / ext4 rw,noatime 0 0' >"$tree/etc/fstab"
echo 3f0c27a1c2d94b7d9a3d6c1f5e8b7a60 >"$tree/etc/machine-id"
mkdir -p "$tree/etc/touchmark"
"$here/initrd.sh" "$tree"
# A kernel that kexec may start under Secure Boot: signed by a key of db, and by that alone, for only the first one is looked at.
cp "$tree"/boot/vmlinuz-* "$tree/boot/unsigned"
sbattach --remove "$tree/boot/unsigned"
sbsign --key "$keys/db.key" --cert "$keys/db.crt" --output "$tree/boot/vmlinuz.signed" "$tree/boot/unsigned" 2>/dev/null
rm "$tree/boot/unsigned"
# Nothing is out of date at the first boot, so that nothing is brought up to date then.
touch -d '+1 day' "$tree/etc/.updated" "$tree/var/.updated"
