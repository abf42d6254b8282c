#!/bin/bash
# The example of docs/embedding.md does what that says, and stands there as it is compiled.
set -euo pipefail
program=$1 source=$2 page=$3
output=$("$program")
grep -qx "mean: 2" <<<"$output"
grep -qx "thrown: std::invalid_argument: empty has no ranks" <<<"$output"
grep -q "^  at Mean()" <<<"$output"
grep -q "^crash: .*SIGABRT.*, exit code -6$" <<<"$output"
# All but the file comment, line for line.
while IFS= read -r line; do
  grep -qxF -- "$line" "$page" || { echo "not in $page: $line"; exit 1; }
done < <(sed 1d "$source")
