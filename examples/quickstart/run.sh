#!/usr/bin/env bash
# The whole way on one catalogue: preprocess, pre-train, embed, index, search, score, show.
# Without CATALOG the demo catalogue is drawn. Settings are environment variables:
#   CATALOG, IMAGES   a catalogue file and its image root (a folder or an uncompressed tar)
#   OUT               where everything goes              (quickstart)
#   PRODUCTS          products of the demo catalogue     (1500)
#   VOCABULARY        BPE tokens                         (3000)
#   UPDATES           updates of pre-training            (500)
#   BATCH             products an update                 (128)
#   OBJECTIVES        options of the criterion and of how embeddings are read; the default adds
#                     the contrast of two views to the paper's five objectives
#   TRAIN_ARGS        further options of fairseq-train
#   VENV              environment with fairseq-item      (.venv)
set -euo pipefail
cd "$(dirname "$0")/../.."

catalog=${CATALOG:-} images=${IMAGES:-} out=${OUT:-quickstart} venv=${VENV:-.venv}
updates=${UPDATES:-500} batch=${BATCH:-128} products=${PRODUCTS:-1500}
objectives=${OBJECTIVES---view-contrast-weight 1 --view-temperature 0.2 \
    --freeze-view-temperature --view-single 0.67 --view-split 0.25 --view-light 0.4 \
    --crop-min-scale 0.25 --embed-layers all}
export PATH="$(cd "$venv" && pwd)/bin:$PATH"
data=$out/data-bin model=$out/model
# A loader gets a core of its own, for threads that wait for one another on a busy core crawl; of two
# cores that would be too much: products are then read between the updates.
cores=$(nproc 2> /dev/null || getconf _NPROCESSORS_ONLN)
workers=$((cores > 2 ? 1 : 0))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores - workers))}

step() { printf '\n== %s\n' "$*"; }

show_progress() { # one line of the training log now and then, as long as process $1 lives
    local shown=0 line
    while kill -0 "$1" 2> /dev/null; do
        sleep 5
        line=$(grep -s train_inner "$out/train.log" | tail -n 1 || true)
        if [ -n "$line" ] && [ $((++shown % 4)) = 1 ]; then
            echo "$line" | grep -oE "\<(num_updates|loss|itm|mlm|mim|view|itm_accuracy)=[0-9.]+" \
                | tr '\n' ' '
            echo
        fi
    done
}

if [ -z "$catalog" ]; then
    catalog=$out/catalog/products.tsv images=$out/catalog/images
    step "Drawing a demo catalogue"
    python preprocess/make_demo_catalog.py --out "$out/catalog" --products "$products"
elif [ -z "$images" ]; then
    echo "error: CATALOG is given without IMAGES; name the folder or tar of its images" >&2
    exit 2
fi

step "Splitting it; products of the test split are never trained on"
python preprocess/split_catalog.py "$catalog" --out "$out/splits" --ratios 80 5 15

# Same-product search needs second listings of known products: real ones where the catalogue has
# groups of listings, else made from the test products.
if head -n 1 "$out/splits/test.tsv" | tr '\t' '\n' | grep -qx product; then
    step "Taking one listing of each test product as a query"
    python preprocess/make_queries.py "$out/splits/test.tsv" --out "$out/queries" --fraction 1
    cp "$out/queries/index.tsv" "$out/splits/test.tsv"
    query_images=$images
else
    step "Making second listings of the test products as queries"
    python preprocess/make_relistings.py "$out/splits/test.tsv" --image-root "$images" \
        --out "$out/queries" --fraction 1
    query_images=$out/queries/images
fi
cp "$out/queries/query.tsv" "$out/splits/query.tsv"

step "Learning the BPE, packing images, binarising titles"
python preprocess/train_bpe.py "$out/splits/train.tsv" --out "$data/title" --vocab-size "${VOCABULARY:-3000}"
for split in train valid test query; do
    root=$images
    [ "$split" = query ] && root=$query_images
    python preprocess/pack_images.py "$out/splits/$split.tsv" --image-root "$root" --out "$data" \
        --split "$split" --image-size 80
done
python preprocess/binarize_titles.py "$data"

step "Pre-training a small ITEm for $updates updates of $batch products (log: $out/train.log)"
# shellcheck disable=SC2086  # OBJECTIVES and TRAIN_ARGS are lists of options
fairseq-train "$data" --user-dir fairseq_item --task item_pretraining \
    --criterion item_pretraining $objectives --arch item_tiny --encoder-layers 2 \
    --encoder-embed-dim 256 --max-title-length 24 --dropout 0 --attention-dropout 0 \
    --compute-dtype bfloat16 --cpu \
    --optimizer fused_adamw --lr 1e-3 --lr-scheduler polynomial_decay --warmup-updates 100 \
    --total-num-update "$updates" --max-update "$updates" --clip-norm 1.0 \
    --batch-size "$batch" --required-batch-size-multiple 1 --num-workers "$workers" \
    --save-dir "$model" --no-epoch-checkpoints --validate-interval 5 --save-interval 5 \
    --log-format simple --log-interval 50 ${TRAIN_ARGS:-} \
    > "$out/train.log" 2>&1 &
training=$!
show_progress "$training"
wait "$training" || { tail -n 20 "$out/train.log" >&2; exit 1; }

step "Embedding, indexing and searching"
search() { # search NAME EMBED_FLAGS...: hits of the fused search and of its three parts
    local name=$1
    shift
    item-embed --checkpoint "$model" --data "$data" --split train,valid,test \
        --out "$out/embeddings/$name/index" "$@"
    item-embed --checkpoint "$model" --data "$data" --split query \
        --out "$out/embeddings/$name/query" "$@"
    item-index "$out/embeddings/$name/index" --out "$out/index/$name"
    for part in fused global title image; do
        item-search "$out/index/$name" --queries "$out/embeddings/$name/query" --part "$part" \
            -k 10 --out "$out/hits/$name-$part.tsv"
    done
}
search trained
search untrained --untrained
item-baseline tfidf --queries "$data/items/query.tsv" \
    --index "$data"/items/{train,valid,test}.tsv -k 10 --out "$out/hits/tfidf.tsv"
item-gallery --hits "$out/hits/trained-fused.tsv" --truth "$out/queries/truth.tsv" \
    --index "$out/index/trained" --data "$data" --image-root "$images" \
    --query-image-root "$query_images" --pick mixed --out "$out/gallery.html"

step "Scores"
python examples/quickstart/scores.py "$out"
echo "Gallery: $out/gallery.html"
