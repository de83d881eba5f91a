"""Titles of the demo catalogue, worded anew for each listing as sellers do."""

PATTERN_WORDS = {
    "stripes": "Striped", "pinstripes": "Pinstripe", "broad": "Chest Stripe",
    "diagonal": "Diagonal",
    "dots": "Polka Dot", "checks": "Checked", "plaid": "Plaid", "zigzag": "Zigzag",
    "leaves": "Floral",
    "camouflage": "Camo", "two-tone": "Two Tone", "half": "Colour Block",
}  # fmt: skip
COLOUR_WORDS = {
    "Navy": ("Navy Blue", "Dark Blue"), "Grey": ("Gray", "Charcoal"), "Sky Blue": ("Light Blue",),
    "Maroon": ("Burgundy", "Wine Red"), "Beige": ("Cream", "Sand"), "Tan": ("Camel",),
    "Graphite": ("Dark Grey",), "Black": ("Blk", "Jet Black"), "White": ("Wht",),
    "Lilac": ("Lavender",),
    "Teal": ("Petrol",), "Olive": ("Khaki",), "Silver": ("Slv",), "Green": ("Grn",),
}  # fmt: skip
ABBREVIATIONS = {
    "Bluetooth": "BT", "Wireless": "Wrls", "Stainless Steel": "S/Steel", "Noise Cancelling": "ANC",
    "Women's": "Ladies", "Men's": "Mens", "Waterproof": "WP", "Smartphone": "Phone",
    "Backpack": "Bag", "Headphones": "H/phones", "Set of 2": "2pcs", "Set of 4": "4pcs",
    "Mechanical Keyboard": "Mech Keyboard", "Running Shoes": "Shoes", "Quick Dry": "Dri",
    "cm": "cms",
    "Remote Control": "RC", "Full Frame": "FF", "Cotton": "Cttn", "Shoulder Bag": "S/Bag",
}  # fmt: skip
BEFORE = ("NEW!!", "New", "Brand New", "HOT SALE", "Genuine", "100% Original", "SALE!",
          "*Best Price*",
          "Trendy", "TOP")  # fmt: skip
AFTER = ("- Free Shipping", "Free P&P", "Fast Dispatch", "Top Quality", "(Boxed)", "Great Gift",
         "UK Stock", "- Limited Offer", "!!!", "w/ Warranty", "Best Seller")  # fmt: skip
ORDERS = (
    ("brand", "line", "model", "traits", "noun", "specs", "colour"),
    ("brand", "traits", "noun", "line", "model", "colour", "specs"),
    ("traits", "noun", "brand", "line", "model", "specs", "colour"),
    ("noun", "brand", "model", "line", "specs", "colour", "traits"),
    ("colour", "brand", "line", "noun", "model", "traits", "specs"),
    ("brand", "model", "noun", "specs", "traits", "line", "colour"),
)
# How often a part is left out. Model and first property, which may be all that tells two products
# apart, mostly stay.
OMITTED = {"brand": 0.12, "line": 0.25, "model": 0.08, "noun": 0.04, "first": 0.1, "second": 0.3,
           "trait": 0.35, "colour": 0.2}  # fmt: skip


def listing_title(product, rng):
    """A seller's title for a product; ``rng`` (``random.Random``) decides on its wording."""
    parts = _parts(product, rng)
    order = rng.choice(ORDERS)
    words = [word for part in order for word in parts[part]]
    words = words or [product.wording.noun]
    if rng.random() < 0.2:
        i, j = (rng.randrange(len(words)) for _ in range(2))
        words[i], words[j] = words[j], words[i]
    words = [ABBREVIATIONS[w] if w in ABBREVIATIONS and rng.random() < 0.15 else w for w in words]
    if rng.random() < 0.12:
        _mistype(words, product.wording.model, rng)
    if rng.random() < 0.22:
        words.insert(0, rng.choice(BEFORE))
    if rng.random() < 0.22:
        words.append(rng.choice(AFTER))
    text = rng.choices((" ", ", ", " - ", " | "), (0.88, 0.06, 0.03, 0.03))[0].join(words)
    case = rng.random()
    return text.upper() if case < 0.06 else text.lower() if case < 0.13 else text


def _parts(product, rng):
    wording, look = product.wording, product.look

    def kept(part):
        return rng.random() >= OMITTED[part]

    letters, digits = wording.model.split("-")
    model = rng.choices(
        (wording.model, letters + digits, f"{letters} {digits}"), (0.6, 0.25, 0.15)
    )[0]
    noun = wording.noun if rng.random() < 0.7 else rng.choice(product.leaf.nouns)
    parts = {
        "brand": [wording.brand] * kept("brand"),
        "line": [wording.line] * kept("line"),
        "model": [model] * kept("model"),
        "noun": [noun] * kept("noun"),
        "traits": [trait for trait in wording.traits if kept("trait")],
        "specs": [
            s for s, part in zip(wording.specs, ("first", "second"), strict=True) if kept(part)
        ],
        "colour": [],
    }
    if wording.names_colour and kept("colour"):
        colour = look.names[0]
        synonyms = COLOUR_WORDS.get(colour, ())
        parts["colour"] = [rng.choice(synonyms) if synonyms and rng.random() < 0.3 else colour]
        if look.pattern != "plain" and rng.random() < 0.6:
            parts["colour"].append(PATTERN_WORDS[look.pattern])
    return parts


def _mistype(words, model, rng):
    """Swap, drop or double a letter inside one longer word; never in a model number."""
    positions = [i for i, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if not positions:
        return
    position = rng.choice(positions)
    word = words[position]
    i = rng.randrange(1, len(word) - 2)
    kind = rng.randrange(3)
    swapped = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    words[position] = (swapped, word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:])[kind]
