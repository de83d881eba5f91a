#!/usr/bin/env bash
# Pre-training in several processes, of one machine or many: examples/scale_out/train.sh RECIPE
# DATA_BIN --save-dir DIR [options of fairseq-train]. Run the same line on every machine.
# A process that dies ends the others; all start anew from the last checkpoint. Settings are
# environment variables:
#   PROCESSES   of this machine: one a GPU                        (its GPUs; without one, 1)
#   NODES       machines                                          (1)
#   HEAD        host:port of the first machine, free to listen on (needed with several machines)
#   RESTARTS    starts after a failure before giving up           (3)
#   RUN         any name, the same on all machines                (item)
#   VENV        environment with fairseq-item; else its commands are on PATH   (.venv)
set -euo pipefail

venv=${VENV:-.venv} nodes=${NODES:-1}
if [ -d "$venv/bin" ]; then export PATH="$(cd "$venv" && pwd)/bin:$PATH"; fi
if ((nodes > 1)) && [ -z "${HEAD:-}" ]; then
    echo "error: NODES=$nodes needs HEAD=host:port of the first machine" >&2
    exit 2
fi
gpus=$(python -c 'import torch; print(torch.cuda.device_count())')
# Else the workers of a second attempt read the addresses of the first's.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
exec torchrun --nnodes "$nodes" --nproc-per-node "${PROCESSES:-$((gpus > 0 ? gpus : 1))}" \
    --rdzv-backend c10d --rdzv-endpoint "${HEAD:-localhost:0}" --rdzv-id "${RUN:-item}" \
    --max-restarts "${RESTARTS:-3}" -m fairseq_item.commands.train "$@"
