#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole language path on one small text: prepare, train, evaluate, generate, report.
#
#   examples/text.sh build/release/aot
#   -> a validation loss below that of counting bigrams, and 200 characters in the manner of the text
set -euo pipefail
aot=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A text that any checkout has: the project's own documents, several times over so that there is something to learn.
root=$(cd "$(dirname "$0")/.." && pwd)
for _ in 1 2 3 4; do cat "$root"/docs/*.md "$root"/src/aot/*/*.h; done > "$work/text"

"$aot" data prepare "$work/text" --tokenizer byte --val 0.1 --out "$work/data"
"$aot" data inspect "$work/data"
"$aot" train --data "$work/data" --out "$work/run" --preset aot-mssa-gated-tiny --width 96 --layers 3 --heads 4 \
  --steps 300 --lr 3e-3 --eval-every 100 --save-every 100 --seed 1
loss=$("$aot" eval text --model "$work/run" --data "$work/data" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["loss"])')
bigram=$("$aot" eval ngrams --data "$work/data" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["bigram"])')
"$aot" generate --model "$work/run" --prompt "/// The " --tokens 200 --seed 1
"$aot" explain report "$work/run" --out "$work/report.html" --samples 1 --tokens 100
echo "validation loss $loss, counting bigrams $bigram"
python3 -c "import sys; sys.exit(not $loss < $bigram)"
