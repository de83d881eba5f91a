"""Amazon Berkeley Objects: listings_*.json.gz and images.csv.gz.

amazon-berkeley-objects.s3.amazonaws.com. Texts are lists of a language and a value each. An item is
listed once for each of Amazon's shops that sells it, under the same item_id: the same product.
"""

from functools import lru_cache
from pathlib import Path

from fairseq_item.errors import InputError
from fairseq_item.feeds.blocks import first_line
from fairseq_item.feeds.listing import Listing, Rejected
from fairseq_item.feeds.tables import header, json_lines, table

NAME = "abo"
LOOKS_FOR = "JSON Lines with item_id, item_name, main_image_id; images.csv beside them"
EXTRA = ("domain_name", "material", "style", "model_number")
# From the folder of the listings to that of the images, as the archives unpack.
IMAGES = Path("..", "..", "images", "metadata", "images.csv.gz")


def recognises(path):
    """Whether a file has this layout: listings, or the table of images."""
    if _is_images(path):
        return True
    line = first_line(path)
    return line.startswith("{") and '"item_id"' in line and '"domain_name"' in line


def read(path, settings):
    """Yield a :class:`Listing` per line of a file of listings, and :class:`Rejected` lines.

    Raises:
        InputError: images.csv is neither among the files nor where the archives put it.
    """
    if _is_images(path):
        return
    files = _image_files(_images_file(path, settings.paths))
    for found in json_lines(path):
        if isinstance(found, Rejected):
            yield found
            continue
        row, record = found
        ids = _image_ids(record)
        listing = _listing(row, record, [files[name] for name in ids if name in files], settings)
        yield listing
        for name in ids:
            if name not in files:
                yield Rejected(row, listing.id, f"image id {name} is not in images.csv")


def _is_images(path):
    return not first_line(path).startswith(("{", "<")) and (
        {"image_id", "path", "width"} <= set(header(path))
    )


def _images_file(path, paths):
    named = [other for other in paths if _is_images(other)]
    beside = Path(path).parent / IMAGES
    if not named and not beside.is_file():
        raise InputError(
            f"{path} names images by ids; name images.csv.gz of Amazon Berkeley Objects, too"
        )
    return named[0] if named else str(beside)


@lru_cache(maxsize=1)
def _image_files(path):
    """Image id -> its file, relative to the folder that was unpacked (small or original)."""
    rows = (found for found in table(path) if not isinstance(found, Rejected))
    return {record["image_id"]: record["path"] for _, record in rows}


def _image_ids(record):
    others = record.get("other_image_id")
    ids = [record.get("main_image_id"), *(others if isinstance(others, list) else [])]
    return [name for name in ids if isinstance(name, str)]


def _listing(row, record, images, settings):
    def text(name):
        return _text(record.get(name), settings.language)

    name, domain = text("item_id"), text("domain_name")
    return Listing(
        row=row,
        id=f"{name}:{domain}" if name and domain else name,
        title=text("item_name"),
        images=images,
        product=name,
        values={
            "leaf_category": text("product_type"),
            **{name: text(name) for name in ("brand", "color", *EXTRA)},
        },
    )


def _text(values, language):
    """One value of a list of language_tag and value: in ``language`` if there is one, or the first.

    Args:
        values: what the field holds; anything else than such a list is no text.
        language: such as "en", which "en_US" and "en_IN" meet.
    """
    if not isinstance(values, list):
        return values if isinstance(values, str) else ""
    known = [entry for entry in values if isinstance(entry, dict) and entry.get("value")]
    for entry in known:
        if str(entry.get("language_tag", "")).lower().startswith(language.lower()):
            return str(entry["value"])
    return str(known[0]["value"]) if known else ""
