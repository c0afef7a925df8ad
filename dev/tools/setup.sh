#!/bin/sh
# Installs the packages when package-lock.json differs from the one they were installed from.
set -eu

# What node_modules was installed from; gone with node_modules, so that a broken install is repeated.
stamp=node_modules/.installed-lock.json

fail() {
  echo "$1" >&2
  exit 1
}

major_of() {
  "$1" -p 'process.versions.node.split(".")[0]'
}

# npm must not run on the Node that it is about to replace.
PATH=${PATH#"$PWD/node_modules/.bin:"}

if ! cmp -s package-lock.json "$stamp"; then
  command -v npm >/dev/null 2>&1 && command -v node >/dev/null 2>&1 ||
    fail 'Node is not installed: install Node 20 or newer, with npm, from https://nodejs.org. It only installs the packages; the Node that runs them is one of them.'
  [ "$(major_of node)" -ge 20 ] ||
    fail "Node $(node -v) is too old to install the packages: install Node 20 or newer from https://nodejs.org."
  echo 'installing packages …'
  rm -f "$stamp"
  # Errors only: an older Node is warned of by every package that wants a newer one, though none of them runs on it.
  npm ci --loglevel=error --no-progress >/dev/null || fail 'npm could not install the packages; its message is above.'
  cp package-lock.json "$stamp"
fi

node=node_modules/.bin/node
[ -x "$node" ] || node=$(command -v node) || fail 'Node is not installed: install Node 24 or newer from https://nodejs.org.'
[ "$(major_of "$node")" -ge 24 ] ||
  fail "npm has no Node for this platform, and Node $("$node" -v) does not run TypeScript: install Node 24 or newer from https://nodejs.org."
