#!/usr/bin/env bash
# Builds Citus for the PostgreSQL of this Debian machine and installs it there, for tests on a real one.
# Usage: build_citus.sh [SOURCES]: a directory or a .tar.gz of its public sources, of a release that knows
# this PostgreSQL (13.2.2: PostgreSQL 15 to 17). Without it they are fetched from GitHub. As root.
set -euo pipefail

release=${CITUS_RELEASE:-13.2.2}
sources=${1:-https://github.com/citusdata/citus/archive/refs/tags/v$release.tar.gz}
server=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
version=$(basename "$(dirname "$server")")
headers=/usr/include/postgresql/$version/server

export DEBIAN_FRONTEND=noninteractive
apt-get install -y -qq --no-install-recommends gcc make flex curl ca-certificates \
    "postgresql-server-dev-$version" liblz4-dev libzstd-dev libssl-dev libxml2-dev libxslt1-dev \
    libkrb5-dev libpam0g-dev libselinux1-dev libicu-dev libreadline-dev zlib1g-dev

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
case $sources in
    http*) curl -fsSL "$sources" | tar -xz -C "$build" --strip-components 1 ;;
    *.tar.gz) tar -xzf "$sources" -C "$build" --strip-components 1 ;;
    *) cp -r "$sources/." "$build" ;;
esac

cd "$build"
# Later minor versions of PostgreSQL 15 have a function of this name of their own.
if grep -q 'extern bool have_createdb_privilege' "$headers/commands/dbcommands.h"; then
    sed -i 's/^have_createdb_privilege(void)$/unused_createdb_privilege(void)/' src/include/pg_version_compat.h
fi
PG_CONFIG=$server/pg_config ./configure --quiet --without-libcurl
make -s -j "$(nproc)" with_llvm=no extension
make -s with_llvm=no install-extension
echo "Installed Citus $release for PostgreSQL $version"
