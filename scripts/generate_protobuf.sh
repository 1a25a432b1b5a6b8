#!/usr/bin/env bash
# Makes the Python code of every .proto anew, with types. Needs grpcio-tools and mypy-protobuf on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
protos=(oastfs/wire/proto/*.proto)
services=()
for proto in "${protos[@]}"; do
    if grep -q '^service ' "$proto"; then services+=("$proto"); fi
done
# Paths are given from the root of the checkout, so the generated imports are absolute.
python -m grpc_tools.protoc --proto_path=. --python_out=. --mypy_out=. "${protos[@]}"
python -m grpc_tools.protoc --proto_path=. --grpc_python_out=. --mypy_grpc_out=. "${services[@]}"
