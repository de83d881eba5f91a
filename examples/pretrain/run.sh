#!/usr/bin/env bash
# The paper's pre-training on a data-bin; run again, it goes on from its last checkpoint.
# Further arguments go to fairseq-train. Settings are environment variables:
#   DATA           data-bin                                               (data-bin)
#   SAVE           model folder                                           (model)
#   RECIPE         of item-train: a name or a file                        (paper)
#   ARCH           item_tiny, item_small, item_base or item_large         (item_base)
#   UPDATES        updates                                                (100000)
#   WARMUP         updates over which the learning rate rises             (4000)
#   LR             its peak                                               (1e-4)
#   BATCH          products an update                                     (512)
#   MICRO_BATCH    products a GPU computes at once                        (64)
#   GPUS           GPUs of this machine; 0: the CPU                       (all there are)
#   WORKERS        processes a GPU that read products                     (4)
#   VENV           environment with fairseq-item; else its commands are on PATH   (.venv)
set -euo pipefail

save=${SAVE:-model} updates=${UPDATES:-100000} batch=${BATCH:-512} micro_batch=${MICRO_BATCH:-64}
venv=${VENV:-.venv}
if [ -d "$venv/bin" ]; then export PATH="$(cd "$venv" && pwd)/bin:$PATH"; fi

gpus=${GPUS:-$(python -c 'import torch; print(torch.cuda.device_count())')}
devices=$((gpus > 0 ? gpus : 1))
if ((batch % (micro_batch * devices))); then
    echo "error: BATCH=$batch is no multiple of MICRO_BATCH=$micro_batch on $devices devices;" \
        "change one of them" >&2
    exit 2
fi
device=$( ((gpus > 0)) && echo "--distributed-world-size $gpus" || echo --cpu)

# shellcheck disable=SC2086  # an option and its value
exec item-train "${RECIPE:-paper}" "${DATA:-data-bin}" --save-dir "$save" \
    --arch "${ARCH:-item_base}" --lr "${LR:-1e-4}" --warmup-updates "${WARMUP:-4000}" \
    --max-update "$updates" --total-num-update "$updates" --batch-size "$micro_batch" \
    --update-freq $((batch / (micro_batch * devices))) --num-workers "${WORKERS:-4}" $device \
    --log-file "$save.log" --tensorboard-logdir "$save/tensorboard" "$@"
