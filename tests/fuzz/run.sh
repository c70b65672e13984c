#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzzes every target with libFuzzer: tests/fuzz/run.sh [SECONDS_PER_TARGET] [TARGET...]      needs clang-14 and libclang-rt-14-dev
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(utf8 json toml safetensors pickle pt_file bpe_files tokenizer_json idx jpeg png encode token_file dataset_meta image_meta cifar)
clang=${CLANG:-clang++-14}
out=build/fuzz
flags=(-std=c++20 -O1 -g -Isrc -I. -fsanitize=address,undefined -fno-sanitize-recover=all)
# A small quarantine of freed memory: the default of 256 MB would alone reach the limit below.
export ASAN_OPTIONS=quarantine_size_mb=16
mkdir -p "$out/io"

# As in CMakeLists.txt: the part of data that needs nothing of core.
for source in src/aot/io/*.cpp src/aot/data/{bpe_tokenizer,cifar_images,image_meta,meta,split_pattern,text_place,token_file,tokenizer}.cpp; do
  object=$out/io/$(basename "$source").o
  [ "$object" -nt "$source" ] || "$clang" "${flags[@]}" -fsanitize=fuzzer-no-link -c "$source" -o "$object"
done
for target in "${targets[@]}"; do
  "$clang" "${flags[@]}" -fsanitize=fuzzer "tests/fuzz/$target.cpp" "$out"/io/*.o -lcrypto -lpcre2-8 -lz -ljpeg -lpng -o "$out/$target"
  mkdir -p "$out/corpus/$target"
  case $target in json | safetensors | bpe_files | tokenizer_json | dataset_meta | image_meta) dictionary=tests/fuzz/json.dict ;; toml) dictionary=tests/fuzz/toml.dict ;; *) dictionary= ;; esac
  echo "== $target, $seconds s"
  "$out/$target" "$out/corpus/$target" "tests/fuzz/corpus/$target" -max_total_time="$seconds" -timeout=1 -rss_limit_mb=256 -max_len=16384 \
    -print_final_stats=1 -verbosity=0 ${dictionary:+-dict=$dictionary} -artifact_prefix="$out/$target-"
done
