#!/bin/bash
# Every row of docs/checks.md names tests and attacks that exist, or says why it has none.
#
# usage: checks_test.sh CHECKS ATTACK SOURCES...
set -euo pipefail
checks=$1 attack=$2
shift 2
known=$({
  sed -nE 's/^TEST(_P|_F)?\((\w+), *(\w+)\).*/\2.\3/p' "$@"
  "$attack" --list | cut -f1
} | sort -u)
rows=0
failed=0
while IFS='|' read -r _ number check shown _; do
  [[ $number =~ ^\ ([0-9]+|[A-H][0-9]*)\ $ ]] || continue
  rows=$((rows + 1))
  named=$(grep -oE '`(\w+Test\.\w+|[a-z0-9-]+)`' <<<"$shown" | tr -d '`' || true)
  missing=$(comm -23 <(sort -u <<<"$named") <(echo "$known") | sed '/^$/d')
  if [[ $shown == *"does not apply:"* ]]; then
    missing=$(grep -F . <<<"$missing" || true) # What is named beside the reason must exist all the same.
  elif [[ -z $named ]]; then
    echo "$checks: no test for$number:$check"
    failed=1
  fi
  [[ -z $missing ]] || { echo "$checks:$number names what is neither test nor attack: $missing"; failed=1; }
done <"$checks"
((rows >= 124)) || { echo "$checks has $rows rows: was it read?"; failed=1; }
exit $failed
