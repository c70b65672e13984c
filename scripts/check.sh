#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev check [--all]: layout, includes, headers alone, lint. Every part runs; the last line says which failed.
set -uo pipefail
build=$1
all=${2:-}
mapfile -t sources < <(find src apps tests bench examples python \( -name '*.cpp' -o -name '*.h' \) 2>/dev/null | sort)
failed=()

part() {
  local name=$1 start=$SECONDS
  shift
  printf '== %s\n' "$name"
  "$@" || failed+=("$name")
  printf '   %d s\n' $((SECONDS - start))
}

# The version 14 of both tools: others lay lines out otherwise.
tool() {
  command -v "$1-14" || command -v "$1"
}

lint() {
  local files=()
  for file in "${sources[@]}"; do
    [[ $file == *.cpp ]] || continue
    [[ $all == --all || $file == src/aot/io/* || $file == src/aot/data/* ]] && files+=("$file")
  done
  # GCC's own warning flags mean nothing to clang.
  printf '%s\0' "${files[@]}" |
    xargs -0 -P 2 -n 2 "$(tool clang-tidy)" -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option 2> >(grep -vE '^[0-9]+ warnings? (generated|treated)' >&2)
}

part format "$(tool clang-format)" --dry-run -Werror "${sources[@]}"
part includes python3 scripts/check_includes.py
part headers python3 scripts/check_headers.py "$build"
part lint lint

((${#failed[@]})) && { printf 'check: failed: %s\n' "${failed[*]}"; exit 1; }
echo "check: all passed"
