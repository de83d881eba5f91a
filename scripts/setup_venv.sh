#!/usr/bin/env bash
# Makes the virtual environment that everything else uses: setup_venv.sh VENV [EXTRA...].
# Running it again finishes what was cut off, and does nothing more where all is there.
#   PYTHON        which Python makes it                                     (python3)
#   TORCH_INDEX   package index of torch and torchvision, such as PyTorch's own for CPUs,
#                 https://download.pytorch.org/whl/cpu                      (pip's usual one)
# EXTRA are extras of setup.py besides those that development takes.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=${1:-.venv}
extras=dev,pretrained,plots,tensorboard,export,sentence-transformers,serve
for extra in "${@:2}"; do extras+=,$extra; done
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
    echo "error: $python is $("$python" --version 2>&1); set PYTHON to a Python 3.11, 3.12 or 3.13" >&2
    exit 2
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

if [ -n "${TORCH_INDEX:-}" ]; then
    echo "Setting up $venv with torch from $TORCH_INDEX; this takes some minutes."
else
    echo "Setting up $venv: torch and its libraries are about 5 GB; this takes 2 to 6 minutes." \
        "TORCH_INDEX names an index of smaller ones for CPUs alone."
fi
pip install -q --upgrade pip "setuptools>=70,<81" wheel "cython>=3" "numpy>=2"
if [ -n "${TORCH_INDEX:-}" ]; then
    # What torch needs comes from the usual index: that of torch need not have it.
    pip install -q filelock fsspec jinja2 networkx pillow sympy typing-extensions
    pip install -q --index-url "$TORCH_INDEX" torch torchvision
fi
# torch first and fairseq without build isolation: where fairseq has no wheel (Python 3.11 and
# 3.13), its build would otherwise download a second torch.
pip install -q torch torchvision
pip install -q --no-build-isolation fairseq-fixed==0.12.3.1
pip install -q --no-build-isolation -e ".[$extras]"
# fairseq asks for it, for speech alone. Made for another CUDA than torch it cannot be imported, and
# transformers and sentence-transformers, which import it where it is, cannot be either.
pip uninstall -q -y torchaudio 2>/dev/null
"$venv/bin/python" scripts/check_venv.py
touch "$venv/.ready"
echo "Ready: $venv"
