# Sourced by the scripts here: installs what they need on a fresh Debian 12 with Node 20 or newer.
# shellcheck shell=bash
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

say() { printf '\033[1m== %s\033[0m\n' "$*" >&2; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else echo "this needs root or sudo: $*" >&2; return 1
  fi
}

# need_packages PROGRAM-OR-FILE=PACKAGE ...: installs the packages whose program or file is missing.
need_packages() {
  local pair missing=()
  for pair in "$@"; do
    case "${pair%%=*}" in
      /*) compgen -G "${pair%%=*}" >/dev/null || missing+=("${pair#*=}") ;;
      *) PATH="$PATH:/usr/sbin:/sbin" command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}") ;;
    esac
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  say "installing ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

need_node() {
  command -v node >/dev/null || { echo "Node.js 20.19 or newer is needed: install it first" >&2; exit 1; }
  node -e 'const [a, b] = process.versions.node.split(".").map(Number);
    if (a < 20 || (a === 20 && b < 19)) { console.error(`Node.js 20.19 or newer is needed, this is ${process.version}`); process.exit(1) }'
}

need_tpm_parts() {
  need_packages swtpm=swtpm swtpm_setup=swtpm-tools certtool=gnutls-bin openssl=openssl \
    '/usr/lib/*/libtss2-esys.so.0=libtss2-esys-3.0.2-0' '/usr/lib/*/libtss2-mu.so.0=libtss2-mu0' \
    '/usr/lib/*/libtss2-tctildr.so.0=libtss2-tctildr0' '/usr/lib/*/libtss2-rc.so.0=libtss2-rc0' \
    '/usr/lib/*/libtss2-tcti-swtpm.so.0=libtss2-tcti-swtpm0'
}

# Modules are installed when the lock file is newer than what lies there.
build() {
  need_node
  if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    say "installing node modules"
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
  fi
  say "building"
  npm run --silent build
}

# optional WHAT COMMAND...: goes on without WHAT, visibly; with CI=true everything must be there.
optional() {
  local what=$1
  shift
  "$@" && return 0
  say "not to be had: $what"
  [ "${CI:-}" != true ]
}

# Second opinions on boot images: a stub to make one of, signing tools, and systemd's own prediction.
need_boot_tools() {
  need_packages objcopy=binutils sbverify=sbsigntool pesign=pesign openssl=openssl \
    /lib/systemd/systemd-measure=systemd /usr/lib/systemd/boot/efi/linuxx64.efi.stub=systemd-boot-efi
}

# A Go new enough for go-spiffe: the one at hand, or Debian's, which fetches a newer toolchain as a module.
go_version=1.25.4
need_go() {
  need_packages go=golang-go /etc/ssl/certs/ca-certificates.crt=ca-certificates
  local have
  have=$(go env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
  if [ "$(printf '%s\n' "$go_version" "$have" | sort -V | head -1)" = "$go_version" ]; then GO=go; return 0; fi
  local module dir
  module="golang.org/toolchain@v0.0.1-go$go_version.linux-$(go env GOARCH)"
  # Go checks it against its checksum database.
  dir=$(cd / && GOFLAGS=-mod=mod go mod download -json "$module" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  [ -n "$dir" ] || return 1
  chmod -R u+w "$dir" && chmod -R +x "$dir/bin" "$dir/pkg/tool"
  GO="$dir/bin/go"
}

# A workload on go-spiffe, as dist/interop-client.
need_go_workload() {
  need_go && (cd test/interop/go && GOTOOLCHAIN=local "$GO" build -o "$root/dist/interop-client" .)
}

# py-spiffe in a virtual environment of its own.
need_python() {
  need_packages python3=python3 /usr/lib/python3*/ensurepip=python3-venv
  [ -x .venv/bin/python ] || python3 -m venv .venv
  .venv/bin/python -c 'import spiffe' 2>/dev/null ||
    .venv/bin/pip install --quiet --disable-pip-version-check 'spiffe==0.3.2'
}

# What test/vm builds and boots a guest with; the tool that enrols Secure Boot keys comes from PyPI.
need_vm_parts() {
  need_packages mmdebstrap=mmdebstrap qemu-system-x86_64=qemu-system-x86 qemu-img=qemu-utils \
    /usr/share/OVMF/OVMF_CODE_4M.secboot.fd=ovmf sbsign=sbsigntool objcopy=binutils mformat=mtools sfdisk=fdisk mke2fs=e2fsprogs \
    cpio=cpio zstd=zstd openssl=openssl setpriv=util-linux python3=python3 /usr/lib/python3*/ensurepip=python3-venv
  local venv=.cache/vm/venv
  [ -x $venv/bin/python ] || python3 -m venv $venv
  [ -x $venv/bin/virt-fw-vars ] || $venv/bin/pip install --quiet --disable-pip-version-check 'virt-firmware==26.10'
}

# need_node_version MAJOR: that line's newest Node.js, from the package registry; sets NODE.
need_node_version() {
  local arch directory="$root/.nodes/$1"
  arch=$(node -p 'process.arch')
  NODE="$directory/node_modules/node-linux-$arch/bin/node"
  [ -x "$NODE" ] && return 0
  mkdir -p "$directory"
  echo '{}' >"$directory/package.json"
  npm install --prefix "$directory" --ignore-scripts --no-audit --no-fund --loglevel=error "node-linux-$arch@$1" >/dev/null
}
