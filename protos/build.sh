#!/bin/sh
# Makes the generated contracts from protos/rapport into protos/gen, or into the folder named.
# Two passes, because only some files hold a service; then the descriptor set that buf reads.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
out=${1:-protos/gen}
google=$(python -c 'import google.api, os; print(os.path.dirname(os.path.dirname(list(google.api.__path__)[0])))')
rm -rf "$out/rapport" && mkdir -p "$out/rapport"
all=$(find protos/rapport -name '*.proto' | LC_ALL=C sort)
served=$(grep -l '^service ' $all)
python -m grpc_tools.protoc -I protos -I "$google" --python_out="$out" --mypy_out=quiet:"$out" $all
python -m grpc_tools.protoc -I protos -I "$google" --grpc_python_out="$out" --mypy_grpc_out=quiet,only_async:"$out" $served
python -m grpc_tools.protoc -I protos -I "$google" --include_imports --include_source_info --descriptor_set_out="$out/rapport.binpb" $all
