#!/usr/bin/env bash
# Makes the virtual environment if it is not there and installs into it.
# Usage: setup_venv.sh VENV PIP_ARGUMENTS...
set -euo pipefail
venv=$1
shift
if ! "$venv/bin/python" -c 'import pip' >/dev/null 2>&1; then
    python=$(bash "$(dirname "$0")/find_python.sh")
    echo "Making the virtual environment $venv with $python"
    "$python" -m venv --clear "$venv"
fi
echo "Installing into $venv: $* (a few minutes the first time)"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# What pip and build tools remark on is of no use unless they fail.
if ! "$venv/bin/python" -m pip install --disable-pip-version-check "$@" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    exit 1
fi
