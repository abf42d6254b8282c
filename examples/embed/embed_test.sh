#!/bin/bash
# The README's example does what it says, and stands there as it is compiled.
set -euo pipefail
program=$1 source=$2 readme=$3
output=$("$program")
grep -q "^exited with code 0, " <<<"$output"
grep -q "^seccomp: " <<<"$output"
# The body of main, line for line.
while IFS= read -r line; do
  grep -qxF -- "$line" "$readme" || { echo "not in README.md: $line"; exit 1; }
done < <(sed -n '/^int main/,$p' "$source")
