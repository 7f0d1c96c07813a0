#!/usr/bin/env bash
# image.sh TREE NODE OUT.img: puts the agent that was built here into the tree, and the tree into a file system. Needs root.
set -euo pipefail
tree=$1 node=$2 out=$3
root=$(cd "$(dirname "$0")/.." && pwd)
app=$tree/usr/lib/touchmark
rm -rf "$app"
mkdir -p "$app/bin" "$app/dist"
cp -r "$root/dist/src" "$root/dist/native" "$app/dist/"
find "$app/dist" -name '*.map' -delete -o -name '*.d.ts' -delete
cp "$root/package.json" "$app/"
cp "$root/bin/touchmark-agent" "$app/bin/"
install -m 755 "$node" "$app/bin/node"
cd "$root"
npm ls --omit=dev --all --parseable 2>/dev/null | sed -n "s|^$root/||p" | sort -u |
  tar -c --exclude='*.map' --exclude='*.d.ts' -T - | tar -x -C "$app"
# The group by which IMA's rules know the agent's files; nobody is a member of it.
chown -R root:touchmark-measured "$app" 2>/dev/null || chown -R "0:$(awk -F: '$1 == "touchmark-measured" { print $3 }' "$tree/etc/group")" "$app"
chmod -R u=rwX,go=rX "$app"
printf '#!/bin/sh\nexec /usr/lib/touchmark/bin/node /usr/lib/touchmark/bin/touchmark-agent "$@"\n' >"$tree/usr/bin/touchmark-agent"
chmod 755 "$tree/usr/bin/touchmark-agent"
rm -f "$out.new"
truncate -s 1G "$out.new"
mke2fs -q -t ext4 -O verity -L root -m 0 -E lazy_itable_init=1,lazy_journal_init=1 -d "$tree" "$out.new"
mv "$out.new" "$out"
