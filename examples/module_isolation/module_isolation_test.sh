#!/bin/bash
# The example prints what docs/embedding.md says that it prints.
set -euo pipefail
program=$1 page=$2
output=$("$program")
expected="spawn: 0
fork: 1
forkserver: 0
forkserver, preloaded: 2
parent: 1"
[[ $output == "$expected" ]] || { echo "printed: $output"; exit 1; }
while IFS= read -r line; do
  grep -qxF -- "$line" "$page" || { echo "not in $page: $line"; exit 1; }
done <<<"$expected"
