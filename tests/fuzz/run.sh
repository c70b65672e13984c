#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes every target with libFuzzer: tests/fuzz/run.sh [SECONDS_PER_TARGET] [TARGET...]      needs clang-14 and libclang-rt-14-dev
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
shift || true
targets=("$@")
# Targets, and the files of data that they link, are those of CMakeLists.txt.
list=tests/fuzz/CMakeLists.txt
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(sed -n 's/^aot_fuzz(\([a-z0-9_]*\) .*/\1/p' "$list")
mapfile -t data < <(sed -n '/^set(AOT_FUZZ_DATA/,/)/p' "$list" | grep -o '[a-z0-9_]*\.cpp')
clang=${CLANG:-clang++-14}
out=build/fuzz
flags=(-std=c++20 -O1 -g -Isrc -I. -fsanitize=address,undefined -fno-sanitize-recover=all)
# A small quarantine of freed memory: the default of 256 MB would alone reach the limit below.
export ASAN_OPTIONS=quarantine_size_mb=16
mkdir -p "$out/io"

objects=()
for source in src/aot/io/*.cpp "${data[@]/#/src/aot/data/}"; do
  object=$out/io/$(basename "$source").o
  objects+=("$object")
  [ "$object" -nt "$source" ] || "$clang" "${flags[@]}" -fsanitize=fuzzer-no-link -c "$source" -o "$object"
done
for target in "${targets[@]}"; do
  "$clang" "${flags[@]}" -fsanitize=fuzzer "tests/fuzz/$target.cpp" "${objects[@]}" -lcrypto -lpcre2-8 -lz -ljpeg -lpng -o "$out/$target"
  mkdir -p "$out/corpus/$target"
  case $target in json | safetensors | bpe_files | tokenizer_json | json_lines | dataset_meta | image_meta) dictionary=tests/fuzz/json.dict ;; toml) dictionary=tests/fuzz/toml.dict ;; *) dictionary= ;; esac
  echo "== $target, $seconds s"
  "$out/$target" "$out/corpus/$target" "tests/fuzz/corpus/$target" -max_total_time="$seconds" -timeout=1 -rss_limit_mb=256 -max_len=16384 \
    -print_final_stats=1 -verbosity=0 ${dictionary:+-dict=$dictionary} -artifact_prefix="$out/$target-"
done
