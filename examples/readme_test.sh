#!/bin/bash
# The example in README.md is the one that is compiled, and it runs.
set -euo pipefail
readonly readme=$1 source=$2 program=$3

in_readme=$(sed -n '/^```cpp$/,/^```$/p' "$readme" | sed '/^```/d')
in_source=$(sed '/^\/\//d' "$source")
if [[ $in_readme != "$in_source" ]]; then
  diff <(echo "$in_source") <(echo "$in_readme") || true
  echo "the example in README.md is not that of $source" >&2
  exit 1
fi
output=$("$program")
echo "$output"
[[ $output == *"/usr/bin/env"*"exited with code 0"* ]]
