# Sourced by the scripts beside it. Sets brood_root (the clone) and brood_cache (per user, shared by all clones).
# shellcheck shell=bash

brood_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

say() { printf 'brood: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 125
}

# Without one in the environment, bash takes a default that the programs it starts would not see.
export PATH

# HOME may be unset, or not be this user's.
if [[ -z ${HOME:-} || ! -w $HOME ]]; then
  HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
  [[ -n $HOME && -w $HOME ]] || die "there is no home directory to keep a cache in: set HOME to a folder that you can write to"
  export HOME
fi
brood_cache=${XDG_CACHE_HOME:-$HOME/.cache}/brood
