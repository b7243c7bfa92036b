#!/usr/bin/env bash
# Resolve the workspace and export it as hash-locked requirements: versions and hashes, never hosts.
# One file for the whole workspace, one per service for its image. Needs network; run by `make lock`.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}
"$uv" lock --quiet "$@"
export_() { "$uv" export --quiet --frozen --no-emit-workspace --no-header --no-annotate --format requirements-txt "$@"; }
export_ --all-packages --all-groups >requirements/workspace.txt
for service in services/*/ tools/*/; do
  name=$(basename "$service")
  export_ --package "tally-${name//_/-}" --no-dev >"requirements/${name}.txt"
done
# The installer itself, locked like everything else, so that set-up needs nothing but pip.
grep -A200 -E '^uv==' requirements/workspace.txt | awk 'NR>1 && /^[a-z]/{exit} {print}' >requirements/bootstrap.txt
