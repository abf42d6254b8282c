#!/bin/sh
# For Bazel's --workspace_status_command: what //tools/version puts into `brood --version`.
# Without git, or outside a clone, the commit is unknown; that is not an error.
if commit=$(git rev-parse --short=12 HEAD 2>/dev/null); then
  # Without optional locks: a commit may be going on.
  [ -z "$(git --no-optional-locks status --porcelain --untracked-files=no)" ] || commit=$commit-modified
fi
echo "STABLE_BROOD_COMMIT ${commit:-unknown}"
