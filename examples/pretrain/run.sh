#!/usr/bin/env bash
# The paper's pre-training on a data-bin; run again, it goes on from its last checkpoint.
# Further arguments go to fairseq-train. Settings are environment variables:
#   DATA           data-bin                                               (data-bin)
#   SAVE           model folder                                           (model)
#   ARCH           item_tiny, item_small, item_base or item_large         (item_base)
#   UPDATES        updates                                                (100000)
#   WARMUP         updates over which the learning rate rises             (4000)
#   LR             its peak                                               (1e-4)
#   BATCH          products an update                                     (512)
#   MICRO_BATCH    products a GPU computes at once                        (64)
#   GPUS           GPUs of this machine; 0: the CPU                       (all there are)
#   COMPUTE_DTYPE  float32 or bfloat16; parameters are float32 anyhow     (bfloat16)
#   SEED           of weights, masks, mismatches and augmentation         (1)
#   SAVE_EVERY     updates between checkpoints                            (5000)
#   WORKERS        processes a GPU that read products                     (4)
#   TENSORBOARD    folder for its events                                  (SAVE/tensorboard)
#   VENV           environment with fairseq-item                          (.venv)
set -euo pipefail
cd "$(dirname "$0")/../.."

data=${DATA:-data-bin} save=${SAVE:-model} updates=${UPDATES:-100000}
batch=${BATCH:-512} micro_batch=${MICRO_BATCH:-64}
export PATH="$(cd "${VENV:-.venv}" && pwd)/bin:$PATH"

gpus=${GPUS:-$(python -c 'import torch; print(torch.cuda.device_count())')}
devices=$((gpus > 0 ? gpus : 1))
if ((batch % (micro_batch * devices))); then
    echo "error: BATCH=$batch is no multiple of MICRO_BATCH=$micro_batch on $devices devices;" \
        "change one of them" >&2
    exit 2
fi
if ((gpus > 0)); then
    device=(--distributed-world-size "$gpus")
else
    device=(--cpu)
fi

exec fairseq-train "$data" --user-dir fairseq_item --task item_pretraining \
    --arch "${ARCH:-item_base}" --compute-dtype "${COMPUTE_DTYPE:-bfloat16}" \
    --criterion item_pretraining \
    --itm-weight 1.0 --mlm-weight 0.1 --gmlm-weight 0.1 --mim-weight 0.01 --gmim-weight 0.01 \
    --optimizer fused_adamw --adamw-betas '(0.9,0.98)' --adamw-eps 1e-8 --weight-decay 1e-4 \
    --lr "${LR:-1e-4}" --lr-scheduler polynomial_decay --warmup-updates "${WARMUP:-4000}" \
    --total-num-update "$updates" --max-update "$updates" \
    --batch-size "$micro_batch" --update-freq $((batch / (micro_batch * devices))) \
    --required-batch-size-multiple 1 --num-workers "${WORKERS:-4}" --seed "${SEED:-1}" \
    --ddp-backend legacy_ddp "${device[@]}" \
    --save-dir "$save" --save-interval-updates "${SAVE_EVERY:-5000}" --keep-interval-updates 1 \
    --no-epoch-checkpoints --log-format json --log-interval 100 --log-file "$save.log" \
    --tensorboard-logdir "${TENSORBOARD:-$save/tensorboard}" "$@"
