#!/usr/bin/env bash
# Makes the virtual environment that everything else uses: setup_venv.sh VENV.
# Running it again finishes what was cut off, and does nothing more where all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:-.venv}
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))'; then
    echo "error: $python is $("$python" --version 2>&1); set PYTHON to a Python 3.11 or 3.12" >&2
    exit 2
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

echo "Setting up $venv: torch and its libraries are about 5 GB; this takes 2 to 6 minutes."
pip install -q --upgrade pip "setuptools>=70,<81" wheel "cython>=3" "numpy>=2"
# torch first and fairseq without build isolation: where fairseq has no wheel (Python 3.11), its
# build would otherwise download a second torch.
pip install -q torch torchvision
pip install -q --no-build-isolation fairseq-fixed==0.12.3.1
pip install -q --no-build-isolation -e ".[dev,pretrained,plots,tensorboard]"
"$venv/bin/python" -c 'import fairseq_item; fairseq_item.register()' 2>/dev/null
touch "$venv/.ready"
echo "Ready: $venv"
