#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# ./dev demo: trains a small attention-only transformer on the Python standard library's sources, about five minutes on two cores.
set -euo pipefail
aot=$1
folder=demo
mkdir -p "$folder"

step() { printf '\n== %s\n' "$*"; }

if [[ ! -f $folder/data/meta.json ]]; then
  step "Text: the Python standard library of this machine, as bytes"
  python3 scripts/demo_text.py "$folder/text.txt"
  rm -rf "$folder/data"
  "$aot" data prepare "$folder/text.txt" --tokenizer byte --out "$folder/data"
fi

step "Training: an attention-only transformer of 0.8 M parameters (samples on the way)"
rm -rf "$folder/run"
"$aot" train --data "$folder/data" --out "$folder/run" --preset aot-mssa-gated-tiny --context 128 --seed 1 \
  --steps 2400 --batch 16 --lr 0.003 --min-lr 0.0003 --warmup 100 --max-minutes 6 --eval-every 200 --sample-every 200

step "Validation: the model, and n-grams fitted to the same training text"
"$aot" eval text --model "$folder/run" --data "$folder/data"
"$aot" eval ngrams --data "$folder/data"

step "Samples"
"$aot" generate --model "$folder/run" --prompt "def " --tokens 300 --temperature 0.8 --top-k 50 --n 2 --seed 1

step "Report"
"$aot" explain report "$folder/run" --out "$folder/report.html"
printf '\nOpen %s/report.html in a browser. The run is %s/run: %s generate --model %s/run --prompt "class "\n' "$folder" "$folder" "$aot" "$folder"
