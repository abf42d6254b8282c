#!/bin/sh
# For Bazel's --workspace_status_command: what //tools/version puts into `brood --version`.
# Without git, or outside a clone of its own, the commit is unknown; that is not an error.

# git distrusts a clone that belongs to somebody else, as when root builds what a user checked out. We run its code anyway.
git() { command git -c "safe.directory=$(pwd -P)" "$@"; }

# The first command prints nothing at the top of a clone; the way up from a folder of another project's clone; else an error.
if [ -z "$(git rev-parse --show-cdup 2>&1)" ] && commit=$(git rev-parse --short=12 HEAD 2>/dev/null); then
  # Without optional locks: a commit may be going on.
  [ -z "$(git --no-optional-locks status --porcelain --untracked-files=no)" ] || commit=$commit-modified
else
  commit=unknown
fi
echo "STABLE_BROOD_COMMIT $commit"
