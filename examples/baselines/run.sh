#!/usr/bin/env bash
# Train one of the paper's baselines, embed with it, and predict leaf categories with it.
#   examples/baselines/run.sh resnet | roberta | clip | supervised [options of fairseq-train]
# The recipes are the paper's; the options win over them, such as --cpu --lr 1e-3.
# Settings are environment variables:
#   DATA       data-bin with label/                          (quickstart/data-bin)
#   OUT        where everything goes                         (baselines/NAME)
#   SIZE       tiny, small or base                           (base)
#   UPDATES    updates of pre-training, roberta and clip     (100000)
#   WARMUP     CLIP's updates of warm-up                     (2000)
#   PICK       checkpoint to embed with and to fine-tune: best (on valid) or last   (best)
#   FINETUNE   options of the fine-tuning of roberta and clip, as "--cpu --lr 1e-4"
#   VENV       environment with fairseq-item; else its commands are on PATH   (.venv)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
name=${1:-} data=${DATA:-quickstart/data-bin} updates=${UPDATES:-100000} warmup=${WARMUP:-2000}
out=${OUT:-baselines/$name} venv=${VENV:-.venv}
if [ -d "$venv/bin" ]; then export PATH="$(cd "$venv" && pwd)/bin:$PATH"; fi

arch=item_${name}_${SIZE:-base}
case $name in
resnet) settings=() ;;
supervised) arch=item_${SIZE:-base} settings=() ;;
roberta) settings=(--max-update "$updates") ;;
clip) settings=(--max-update "$updates" --warmup-updates "$warmup"
    --lr-period-updates $((updates - warmup))) ;;
*)
    echo "error: '$name' is no baseline; name resnet, roberta, clip or supervised" >&2
    exit 2
    ;;
esac
shift

mkdir -p "$out"
item-train "$name" "$data" --arch "$arch" "${settings[@]}" --save-dir "$out/model" "$@" 2>&1 |
    tee -a "$out/train.log" |
    grep --line-buffered -E "train_inner|valid on|early stop|rror" | cut -c 1-200

checkpoint=$out/model/checkpoint_${PICK:-best}.pt
for split in train valid test query; do
    [ -e "$data/items/$split.tsv" ] || continue
    item-embed --checkpoint "$checkpoint" --data "$data" --split "$split" \
        --out "$out/embeddings/$split"
done

case $name in
roberta | clip)
    # shellcheck disable=SC2086  # FINETUNE is a list of options
    DATA="$data" OUT="$out/finetune" CHECKPOINT="$checkpoint" ARCH="$arch" \
        "$here/../finetune/run.sh" ${FINETUNE:-}
    ;;
*)
    for split in valid test; do
        item-predict --checkpoint "$out/model" --data "$data" --split "$split" \
            --out "$out/$split.tsv" | tee "$out/$split.json"
    done
    ;;
esac
