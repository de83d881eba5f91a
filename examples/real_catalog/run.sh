#!/usr/bin/env bash
# A real catalogue, trained longer than the quickstart does, with curves over the training:
#   examples/real_catalog/run.sh CATALOG IMAGES OUT
# The settings of examples/quickstart/run.sh can be set here too.
set -euo pipefail
if [ $# -ne 3 ]; then
    sed -n 2,4p "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd) venv=${VENV:-.venv}
if [ -d "$venv/bin" ]; then export PATH="$(cd "$venv" && pwd)/bin:$PATH"; fi
export CATALOG=$1 IMAGES=$2 OUT=$3 UPDATES=${UPDATES:-3000}
TRAIN_ARGS="--save-interval-updates 250 ${TRAIN_ARGS:-}" "$here/../quickstart/run.sh"
python "$here/curves.py" "$OUT" > "$OUT/curves.log"
python "$here/compare_index.py" "$OUT" 2> /dev/null | grep '^|' \
    | tee "$OUT/index_options.md"
