"""Says what CATALOG is: a catalogue, one whose images are addresses yet, or a feed to be imported.

kind.py FILE prints "catalogue", "addresses" or "feed".
"""

import sys

from fairseq_item.data.catalog_formats import open_catalog_file
from fairseq_item.errors import InputError


def kind(path):
    """One of the three words, told by the columns and by the first row that has an image."""
    try:
        file = open_catalog_file(path)
        if not {"id", "title", "image"} <= set(file.fieldnames):
            return "feed"
        for _, values in file.rows():
            row = dict(zip(file.fieldnames, values))
            image = row["image"] or row.get("image_url", "")
            if image:
                address = image.startswith(("http://", "https://"))
                return "addresses" if address else "catalogue"
    except InputError:
        return "feed"  # in no format of catalogues
    return "catalogue"


if __name__ == "__main__":
    sys.stdout.write(f"{kind(sys.argv[1])}\n")
