#!/bin/sh
# install-debian.sh PACKAGE...: installs those packages of Debian that are missing, removes none, and starts none of their services.
# Where that cannot be done it says why, `SKIPPED: reason`, and ends well: what needs the packages is to say so by itself.
set -eu

skip() {
  echo "SKIPPED: $1"
  exit 0
}

has() {
  [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

if [ $# -eq 0 ]; then
  echo "usage: $0 PACKAGE..." >&2
  exit 2
fi
command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || skip 'there is no apt-get: this is no Debian'

missing=
for package in "$@"; do
  if has "$package"; then echo "$package: is installed"; else missing="$missing $package"; fi
done
[ -n "$missing" ] || exit 0
[ "$(id -u)" -eq 0 ] || skip "only root can install$missing"

# What invoke-rc.d asks before it starts a service: 101 is no. One that is there already is the administrator's.
policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d}
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
# Another apt may be at work; the network may be slow, but not for ever.
set -- -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Acquire::http::Timeout=30
apt-get "$@" update >/dev/null || skip 'the lists of packages cannot be fetched'
# shellcheck disable=SC2086 # a list of names
apt-get "$@" install --yes --no-remove --no-install-recommends $missing >/dev/null || skip "apt-get could not install$missing"
for package in $missing; do
  has "$package" || skip "$package is not installed after all"
  echo "$package: installed"
done
