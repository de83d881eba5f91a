#!/usr/bin/env bash
# Leaf-category prediction: fine-tune a pre-trained checkpoint (recipe finetune), or train from
# scratch without one (recipe supervised). Further arguments go to fairseq-train and win, such as
# --cpu --lr 1e-4. Settings are environment variables:
#   DATA         data-bin with label/                         (quickstart/data-bin)
#   CHECKPOINT   checkpoint to start from; empty: from scratch, supervised
#   ARCH         its architecture; further sizes as arguments (item_base)
#   OUT          where everything goes                        (finetune)
#   BATCH        products a process and update                (64; from scratch 256)
#   EPOCHS       of fine-tuning                               (10)
#   VENV         environment with fairseq-item; else its commands are on PATH   (.venv)
set -euo pipefail

data=${DATA:-quickstart/data-bin} checkpoint=${CHECKPOINT:-} out=${OUT:-finetune}
venv=${VENV:-.venv}
if [ -d "$venv/bin" ]; then export PATH="$(cd "$venv" && pwd)/bin:$PATH"; fi

if [ -n "$checkpoint" ]; then
    batch=${BATCH:-64} epochs=${EPOCHS:-10}
    products=$(($(cat "$data"/items/train*.tsv | wc -l) - $(ls "$data"/items/train*.tsv | wc -l)))
    updates=$((epochs * ((products + batch - 1) / batch)))
    settings=(finetune "$data" --finetune-from-model "$checkpoint" --max-epoch "$epochs"
        --total-num-update "$updates" --warmup-updates $((updates * 6 / 100)))
else
    batch=${BATCH:-256} settings=(supervised "$data")
fi

mkdir -p "$out"
item-train "${settings[@]}" --arch "${ARCH:-item_base}" --batch-size "$batch" \
    --save-dir "$out/model" "$@" 2>&1 | tee -a "$out/train.log" |
    grep --line-buffered -E "train_inner|valid on|early stop|rror" | cut -c 1-200

for split in valid test; do
    item-predict --checkpoint "$out/model" --data "$data" --split "$split" \
        --out "$out/$split.tsv" | tee "$out/$split.json"
done
