"""Computing the features of a split's images; a killed run is gone on with."""

import hashlib
import json
import os
from dataclasses import asdict, replace

import numpy as np

from fairseq_item.data.features import (
    FeaturesMeta,
    array_path,
    meta_path,
    read_meta,
    write_meta,
)
from fairseq_item.data.originals import original_images, pooled_batches
from fairseq_item.data.sharded import items_digest
from fairseq_item.data.tsv import read_table
from fairseq_item.digests import digest
from fairseq_item.errors import InputError
from fairseq_item.files import locked, sweep, writing
from fairseq_item.progress import progress


def compute_features(
    data, shard, root, network, weights_file=None, batch_size=32, threads=1, overwrite=False
):
    """Write ``features/{shard}.npy`` and ``.json``, of the original images.

    Rows are appended to an unfinished file as they come, so that memory does not grow with their
    number. Its name tells what it is made of: only the same items and network go on with it.

    Args:
        data: the data-bin folder.
        shard: name of an items file.
        root: ``ImageRoot`` of the original images.
        network: ``data.frozen.FrozenNetwork``.
        weights_file: where its weights were read, None for an installed package.
        batch_size: images computed at once.
        threads: how many decode images while the network computes.
        overwrite: compute anew what is there already.

    Returns:
        int: rows, or None where all were computed before.

    Raises:
        InputError: the items cannot be read or an image cannot be used.
    """
    names = read_table(data / "items" / f"{shard}.tsv", ["id", "image"]).column("image")
    meta = FeaturesMeta(
        network.name,
        network.digest,
        network.dim,
        len(names),
        items_digest(data, shard),
        weights_file=weights_file and os.path.abspath(weights_file),
    )
    if not overwrite and _finished(data, shard, meta):
        return None
    path = array_path(data, shard)
    with locked(path.with_name(f".{shard}.lock")):
        sweep(path.parent)
        unfinished = _unfinished(path, meta, overwrite)
        meta_path(data, shard).unlink(missing_ok=True)
        with writing(unfinished), open(unfinished, "r+b") as file:
            done = _go_to_end(file, meta)
            items = data / "items" / f"{shard}.tsv"
            images = original_images(items, names, root, network.image_size, done, threads)
            with progress(None, f"features of {shard}", len(names), "image") as bar:
                bar.update(done)
                for rows in pooled_batches(network, images, batch_size):
                    file.write(rows.astype(np.float16).tobytes())
                    bar.update(len(rows))
        os.replace(unfinished, path)
        write_meta(data, shard, replace(meta, array=digest(path)["sha256"]))
    return len(names)


def _finished(data, shard, meta):
    try:
        found = read_meta(data, shard)
    except InputError:
        return False
    # Weights are known by their digest, wherever they lie.
    leave_out = {"weights_file": None, "array": ""}
    return asdict(found) | leave_out == asdict(meta) | leave_out


def _unfinished(path, meta, overwrite):
    """The file that rows are appended to; those of other runs are removed."""
    values = json.dumps(asdict(meta) | {"weights_file": None}, sort_keys=True)
    digest = hashlib.sha256(values.encode()).hexdigest()[:16]
    unfinished = path.with_name(f".{path.stem}.{digest}.part")
    for other in path.parent.glob(f".{path.stem}.*.part"):
        if overwrite or other != unfinished:
            other.unlink()
    unfinished.touch()
    return unfinished


def _go_to_end(file, meta):
    """Move behind the last whole row of an unfinished array; returns how many there are."""
    header = {"descr": "<f2", "fortran_order": False, "shape": (meta.count, meta.dim)}
    np.lib.format.write_array_header_1_0(file, header)
    start, width = file.tell(), 2 * meta.dim
    done = max(0, file.seek(0, os.SEEK_END) - start) // width
    file.seek(start + done * width)
    file.truncate()
    return done
