#!/usr/bin/env bash
# Prints the path of a Python of 3.11 or later that can make virtual environments; fails if there is none.
set -uo pipefail
check='import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))'
for name in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11 python3.14 /usr/bin/python3; do
    path=$(command -v "$name" 2>/dev/null) || continue
    if "$path" -c "$check" >/dev/null 2>&1; then
        "$path" -c 'import sys; print(sys.executable)'
        exit 0
    fi
done
echo "No Python of 3.11 or later with venv found; install python3 and python3-venv, or set PYTHON." >&2
exit 1
