#!/bin/sh
# setup.sh - makes sure that what the build and the tests need is installed.
#
# Quick when all is there. On Debian and its relatives missing packages are installed by apt-get, as root or through
# sudo without a question; elsewhere they are named and the script stops with exit 2.
set -u

packages="gcc libc6-dev cmake ninja-build make pkg-config git ca-certificates xz-utils sqlite3
lua5.4 lua-lpeg lua-cjson xxhash
libsqlite3-dev libuv1-dev liblua5.4-dev libjansson-dev libxxhash-dev libzstd-dev libmd4c-dev libmd4c-html0-dev"

say() { printf 'setup: %s\n' "$*" >&2; }

missing_packages() {
    for package in $packages; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)
        [ "$state" = installed ] || printf '%s ' "$package"
    done
}

# Where there is no dpkg: what can be asked of any system.
missing_tools() {
    for tool in cc cmake ninja pkg-config git xz sqlite3 lua5.4; do
        command -v "$tool" >/dev/null 2>&1 || printf '%s ' "$tool"
    done
    command -v pkg-config >/dev/null 2>&1 || return 0
    for library in sqlite3 libuv lua5.4 jansson libxxhash libzstd md4c md4c-html; do
        pkg-config --exists "$library" || printf '%s ' "$library"
    done
}

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    missing=$(missing_tools)
    [ -z "$missing" ] && exit 0
    say "this is not Debian; please install: $missing"
    exit 2
fi

missing=$(missing_packages)
[ -z "$missing" ] && exit 0

if [ "$(id -u)" -eq 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    say "please install as root: apt-get install $missing"
    exit 2
fi

say "installing $missing"
apt() {
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null >&2
}
# The package lists may be fresh enough; they are fetched when that was not so.
# shellcheck disable=SC2086
if ! apt -qq install -y --no-install-recommends $missing 2>/dev/null; then
    apt -qq update || say "the package lists could not be fetched; going on with what is there"
    apt -qq install -y --no-install-recommends $missing || {
        say "could not install: $missing"
        exit 2
    }
fi
