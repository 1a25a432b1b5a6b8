#!/usr/bin/env bash
# Builds libhdfs.so, HDFS's C interface over Java, into VENV/share/libhdfs: PyArrow and TensorFlow load it, and
# neither ships it. Its C sources are in PyPI's pydoop; only they are compiled, nothing of pydoop is installed.
# Usage: build_libhdfs.sh VENV. Quick and silent when it is there.
set -euo pipefail
venv=${1:?usage: build_libhdfs.sh VENV}
directory=$venv/share/libhdfs
[ ! -e "$directory/libhdfs.so" ] || exit 0

java_home=$(bash "$(dirname "$0")/find_jdk.sh")
echo "Building $directory/libhdfs.so with $java_home"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# pip asks a source package for its metadata even if it only fetches it, and this one needs pkg_resources.
echo 'setuptools<81' >"$work/constraints"
if ! PIP_CONSTRAINT=$work/constraints PIP_BUILD_CONSTRAINT=$work/constraints JAVA_HOME=$java_home \
    "$venv/bin/python" -m pip download --disable-pip-version-check --no-deps --no-binary pydoop --use-pep517 \
    -d "$work" pydoop==2.0.0 >"$work/log" 2>&1; then
    tail -n 30 "$work/log" >&2
    exit 1
fi
tar -xzf "$work"/pydoop-*.tar.gz -C "$work"
cd "$work"/pydoop-*/src/libhdfs
gcc -shared -fPIC -O2 -w -o "$work/libhdfs.so" -I. -Iinclude -Icommon -Ios -Ios/posix \
    -I"$java_home/include" -I"$java_home/include/linux" hdfs.c exception.c jni_helper.c common/htable.c os/posix/*.c \
    -L"$java_home/lib/server" -Wl,-rpath,"$java_home/lib/server" -ljvm -lpthread
cd "$OLDPWD"
mkdir -p "$directory"
mv "$work/libhdfs.so" "$directory/libhdfs.so"
