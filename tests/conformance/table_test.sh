#!/bin/bash
# Every test that a table of docs names is one, so that no row claims more than is tested.
set -euo pipefail
table=$1
shift
known=$(sed -nE 's/^TEST(_P|_F)?\((\w+), *(\w+)\).*/\2.\3/p' "$@" | sort -u)
named=$(grep -oE '`\w+Test\.\w+`' "$table" | tr -d '`' | sort -u)
[[ $(wc -l <<<"$named") -gt 50 ]] || { echo "$table names hardly any test: was it read?"; exit 1; }
missing=$(comm -23 <(echo "$named") <(echo "$known"))
[[ -z $missing ]] || { echo "$table names what is no test:"; echo "$missing"; exit 1; }
