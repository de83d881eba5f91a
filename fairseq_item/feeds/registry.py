"""All layouts, and which of them a file has."""

from types import ModuleType

from fairseq_item.errors import InputError
from fairseq_item.feeds import (
    abo,
    amazon_reviews,
    eproduct,
    google,
    shopee,
    shopify,
    sop,
    woocommerce,
)

# Each module has NAME, LOOKS_FOR (its header, for people), EXTRA (columns it adds), and the
# functions recognises(path) and read(path, settings).
LAYOUTS: dict[str, ModuleType] = {
    layout.NAME: layout
    for layout in (google, shopify, woocommerce, abo, shopee, sop, eproduct, amazon_reviews)
}


def find_layout(path: str) -> ModuleType:
    """The layout that a file has by its header.

    Raises:
        InputError: it has none of them; the message lists what was looked for.
    """
    for layout in LAYOUTS.values():
        if layout.recognises(path):
            return layout
    known = "; ".join(f"{name}: {layout.LOOKS_FOR}" for name, layout in LAYOUTS.items())
    raise InputError(
        f"{path} has none of the known layouts ({known}); a catalogue has the columns id, title "
        "and image, and needs no import"
    )
