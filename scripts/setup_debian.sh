#!/usr/bin/env bash
# Installs the Debian packages that OastFS needs and that are missing; says which and why.
# Usage: setup_debian.sh run|test. Quick and silent when nothing is missing.
set -euo pipefail

purpose=${1:?usage: setup_debian.sh run|test}
missing=()

need() { # need COMMAND PACKAGE: the package is wanted unless the command is there
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

# A Python that can make virtual environments (Debian ships venv apart from python3).
find_python=$(dirname "$0")/find_python.sh
bash "$find_python" >/dev/null 2>&1 || missing+=(python3 python3-venv)
need fusermount3 fuse3
if [ "$purpose" = test ]; then
    need curl curl
    need fio fio
    need gcc gcc
    need git git
    need hdfs hdfs-cli
    need ip iproute2
    need java default-jre-headless
    need make make
    [ -n "$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null)" ] || missing+=(postgresql)
    need rclone rclone
    need rsync rsync
    need setfacl acl
    need setfattr attr
    need sqlite3 sqlite3
    need tar tar
    need unshare util-linux
    [ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
    # What is in C is compiled when OastFS is installed, if that is possible; tests compare it with Python.
    python=$(bash "$find_python" 2>/dev/null) || python=
    headers='import os, sysconfig; exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
    { [ -n "$python" ] && "$python" -c "$headers"; } || missing+=(python3-dev)
    # A JDK, not only a JRE: libhdfs.so is compiled against its jni.h.
    bash "$(dirname "$0")/find_jdk.sh" >/dev/null 2>&1 || missing+=(default-jdk-headless)
fi

[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 && as_root=(sudo)
fi
if ! command -v apt-get >/dev/null 2>&1 || { [ "$(id -u)" != 0 ] && [ ${#as_root[@]} = 0 ]; }; then
    echo "Missing: ${missing[*]}. Please install them (they are Debian's names), then run make again." >&2
    # Without fuse3 alone everything but the mount works.
    [ "$purpose" = run ] && [ "${missing[*]}" = fuse3 ] && exit 0
    exit 1
fi

echo "Installing Debian packages: ${missing[*]}${as_root[*]:+ (with sudo)}"
export DEBIAN_FRONTEND=noninteractive
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists of a fresh image are empty or old: refresh them only if they do not serve.
if ! "${install[@]}" "${missing[@]}" >"$log" 2>&1 </dev/null; then
    "${as_root[@]}" apt-get update -qq >"$log" 2>&1 </dev/null || true
    if ! "${install[@]}" "${missing[@]}" >>"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        echo "Could not install: ${missing[*]}. Install them by hand, then run make again." >&2
        exit 1
    fi
fi
