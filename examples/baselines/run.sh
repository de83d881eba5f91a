#!/usr/bin/env bash
# Train one of the paper's baselines, embed with it, and predict leaf categories with it.
#   examples/baselines/run.sh resnet | roberta | clip | supervised
# The defaults are the paper's. Settings are environment variables:
#   DATA         data-bin with label/                        (quickstart/data-bin)
#   OUT          where everything goes                       (baselines/NAME)
#   SIZE         tiny, small or base                         (base)
#   UPDATES      updates of pre-training, roberta and clip   (100000)
#   WARMUP       their updates of warm-up                    (4000; clip 2000)
#   BATCH        products a process and update               (512; resnet and supervised 256)
#   LR           peak learning rate                          (1e-4; clip 5e-4, resnet 0.1)
#   MODEL_ARGS   further sizes, --compute-dtype bfloat16, ...
#   TRAIN_ARGS   further options of fairseq-train, such as --cpu, --max-epoch 20
#   PICK         checkpoint to embed with and to fine-tune: best (on valid) or last   (best)
#   FINETUNE     settings of examples/finetune/run.sh for roberta and clip, as "LR=1e-4 EPOCHS=3"
#   WORKERS      processes that read products                (4)
#   VENV         environment with fairseq-item               (.venv)
set -euo pipefail
cd "$(dirname "$0")/../.."

name=${1:-} data=${DATA:-quickstart/data-bin} size=${SIZE:-base} updates=${UPDATES:-100000}
out=${OUT:-baselines/$name} checkpoint=checkpoint_${PICK:-best}.pt
export PATH="$(cd "${VENV:-.venv}" && pwd)/bin:$PATH"

classify=(--task item_classification --criterion item_classification --patience 10
    --best-checkpoint-metric accuracy --maximize-best-checkpoint-metric)
case $name in
resnet)
    settings=(--arch "item_resnet_$size" "${classify[@]}" --classifier-dropout 0
        --optimizer momentum_sgd --lr "${LR:-0.1}" --lr-scheduler plateau
        --batch-size "${BATCH:-256}")
    ;;
supervised)
    settings=(--arch "item_$size" "${classify[@]}" --optimizer fused_adamw --lr "${LR:-1e-4}"
        --lr-scheduler inverse_sqrt --warmup-updates "${WARMUP:-1000}"
        --batch-size "${BATCH:-256}")
    ;;
roberta)
    settings=(--arch "item_roberta_$size" --task title_pretraining --criterion masked_lm
        --optimizer fused_adamw --lr "${LR:-1e-4}" --lr-scheduler inverse_sqrt
        --warmup-updates "${WARMUP:-4000}" --max-update "$updates" --batch-size "${BATCH:-512}")
    ;;
clip)
    warmup=${WARMUP:-2000}
    settings=(--arch "item_clip_$size" --task clip_pretraining --criterion clip
        --optimizer fused_adamw --adamw-eps 1e-6 --weight-decay 0.2 --adamw-decay-matrices-only
        --lr "${LR:-5e-4}" --lr-scheduler cosine --warmup-updates "$warmup"
        --lr-period-updates $((updates - warmup)) --max-update "$updates"
        --batch-size "${BATCH:-512}")
    ;;
*)
    echo "error: '$name' is no baseline; name resnet, roberta, clip or supervised" >&2
    exit 2
    ;;
esac

mkdir -p "$out"
# shellcheck disable=SC2086
fairseq-train "$data" --user-dir fairseq_item "${settings[@]}" ${MODEL_ARGS:-} \
    --required-batch-size-multiple 1 --num-workers "${WORKERS:-4}" \
    --save-dir "$out/model" --no-epoch-checkpoints --log-format simple --log-interval 100 \
    --log-file "$out/train.log" ${TRAIN_ARGS:-} 2>&1 |
    grep --line-buffered -E "train_inner|valid on|early stop|rror" | cut -c 1-160

for split in train valid test query; do
    [ -e "$data/items/$split.tsv" ] || continue
    item-embed --checkpoint "$out/model/$checkpoint" --data "$data" --split "$split" \
        --out "$out/embeddings/$split"
done

case $name in
roberta | clip)
    # shellcheck disable=SC2086
    env LR= BATCH= WARMUP= ${FINETUNE:-} DATA="$data" OUT="$out/finetune" \
        CHECKPOINT="$out/model/$checkpoint" ARCH="item_${name}_$size" \
        examples/finetune/run.sh
    ;;
*)
    for split in valid test; do
        item-predict --checkpoint "$out/model" --data "$data" --split "$split" \
            --out "$out/$split.tsv" | tee "$out/$split.json"
    done
    ;;
esac
