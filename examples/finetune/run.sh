#!/usr/bin/env bash
# Leaf-category prediction: fine-tune a pre-trained checkpoint, or train from scratch without one.
# The defaults are the paper's. Settings are environment variables:
#   DATA         data-bin with label/                         (quickstart/data-bin)
#   CHECKPOINT   checkpoint to start from; empty: from scratch, supervised
#   ARCH         its architecture                             (item_base)
#   MODEL_ARGS   its sizes where they are not the architecture's, --compute-dtype bfloat16, ...
#   OUT          where everything goes                        (finetune)
#   BATCH        products a process and update                (64; from scratch 256)
#   LR           peak learning rate                           (1e-5; from scratch 1e-4)
#   EPOCHS       at most; from scratch PATIENCE ends it       (10; from scratch 1000)
#   WARMUP       from scratch: updates of warm-up             (1000)
#   PATIENCE     from scratch: epochs without gain            (10)
#   TRAIN_ARGS   further options of fairseq-train, such as --cpu
#   WORKERS      processes that read products                 (4)
#   VENV         environment with fairseq-item                (.venv)
set -euo pipefail
cd "$(dirname "$0")/../.."

data=${DATA:-quickstart/data-bin} checkpoint=${CHECKPOINT:-} out=${OUT:-finetune}
export PATH="$(cd "${VENV:-.venv}" && pwd)/bin:$PATH"

if [ -n "$checkpoint" ]; then
    batch=${BATCH:-64} epochs=${EPOCHS:-10}
    products=$(($(cat "$data"/items/train*.tsv | wc -l) - $(ls "$data"/items/train*.tsv | wc -l)))
    updates=$((epochs * ((products + batch - 1) / batch)))
    settings=(--finetune-from-model "$checkpoint" --lr "${LR:-1e-5}" --weight-decay 0.1
        --lr-scheduler polynomial_decay --total-num-update "$updates"
        --warmup-updates $((updates * 6 / 100)))
else
    batch=${BATCH:-256} epochs=${EPOCHS:-1000}
    settings=(--lr "${LR:-1e-4}" --weight-decay 1e-4 --lr-scheduler inverse_sqrt
        --warmup-updates "${WARMUP:-1000}" --patience "${PATIENCE:-10}")
fi

mkdir -p "$out"
# shellcheck disable=SC2086
fairseq-train "$data" --user-dir fairseq_item --task item_classification \
    --criterion item_classification --arch "${ARCH:-item_base}" ${MODEL_ARGS:-} \
    --optimizer fused_adamw "${settings[@]}" --max-epoch "$epochs" \
    --best-checkpoint-metric accuracy --maximize-best-checkpoint-metric \
    --batch-size "$batch" --required-batch-size-multiple 1 --num-workers "${WORKERS:-4}" \
    --save-dir "$out/model" --no-epoch-checkpoints --log-format simple --log-interval 100 \
    --log-file "$out/train.log" ${TRAIN_ARGS:-} 2>&1 |
    grep --line-buffered -E "train_inner|valid on|early stop|rror" | cut -c 1-160

for split in valid test; do
    item-predict --checkpoint "$out/model" --data "$data" --split "$split" \
        --out "$out/$split.tsv" | tee "$out/$split.json"
done
