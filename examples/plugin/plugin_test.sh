#!/bin/bash
# The example of docs/call.md does what that says.
set -euo pipefail
brood=$1 plugin=$2 source=$3 page=$4
[[ $("$brood" call "$plugin:Square" 7) == 49 ]]
[[ $("$brood" call --policy strict --start-method forkserver "$plugin:Norm" '[3, 4]') == 5.0 ]]
[[ $("$brood" call --list "$plugin") == "Norm(vector<double>)->double
Square(int32)->int32" ]]
# All but the file comment, line for line.
while IFS= read -r line; do
  grep -qxF -- "$line" "$page" || { echo "not in $page: $line"; exit 1; }
done < <(sed 1d "$source")
