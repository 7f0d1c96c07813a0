#!/usr/bin/env bash
# keys.sh VIRT-FW-VARS DIRECTORY: throw-away Secure Boot keys, and the firmware's variables with them enrolled (vars-on.fd), and with
# them enrolled but Secure Boot turned off (vars-off.fd). For tests: the private keys lie beside them.
set -euo pipefail
tool=$1 directory=$2
mkdir -p "$directory"
cd "$directory"
for name in PK KEK db; do
  openssl req -x509 -newkey rsa:2048 -nodes -sha256 -days 3650 -subj "/CN=touchmark test $name/" \
    -keyout "$name.key" -out "$name.crt" 2>/dev/null
done
owner=$(cat /proc/sys/kernel/random/uuid)
enrol() {
  local out=$1
  shift
  "$tool" --loglevel error --input /usr/share/OVMF/OVMF_VARS_4M.fd --output "$out" \
    --set-pk "$owner" PK.crt --add-kek "$owner" KEK.crt --add-db "$owner" db.crt "$@" >/dev/null
}
enrol vars-on.fd --secure-boot
enrol vars-off.fd --set-false SecureBootEnable
