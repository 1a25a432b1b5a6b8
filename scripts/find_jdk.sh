#!/usr/bin/env bash
# Prints the home of a Java that C programs can be compiled against (jni.h): JAVA_HOME, that of `java`, or Debian's.
set -euo pipefail
candidates=("${JAVA_HOME:-}")
if command -v java >/dev/null 2>&1; then
    candidates+=("$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")")
fi
candidates+=(/usr/lib/jvm/java-*)
for home in "${candidates[@]}"; do
    if [ -n "$home" ] && [ -e "$home/include/jni.h" ] && [ -e "$home/lib/server/libjvm.so" ]; then
        echo "$home"
        exit 0
    fi
done
echo "No JDK with jni.h found: install default-jdk-headless or set JAVA_HOME." >&2
exit 1
