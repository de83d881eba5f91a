#!/usr/bin/env bash
# Every benchmark, one after the other: examples/benchmark/run.sh [--quick]
# The machine should have nothing else to do. Settings are environment variables:
#   OUT      where tables and JSON go               (benchmark)
#   STAGES   which benchmarks                       (packing loading training embedding search growth)
#   VENV     environment with fairseq-item[benchmark]  (.venv)
set -euo pipefail
cd "$(dirname "$0")/../.."

out=${OUT:-benchmark} python=${VENV:-.venv}/bin/python
stages=${STAGES:-packing loading training embedding search growth}
failed=()
for stage in $stages; do
    printf '\n== %s\n' "$stage"
    start=$SECONDS
    "$python" "examples/benchmark/$stage.py" --out "$out" "$@" || failed+=("$stage")
    echo "($((SECONDS - start)) seconds)"
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "error: ${failed[*]} failed; what they said is above" >&2
    exit 1
fi
echo "Tables and JSON: $out"
