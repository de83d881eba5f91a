"""The products of the demo catalogue, each told by its number and the seed alone.

Products come in families of five that differ in one thing at a time, so that neither the image nor
the title alone tells them apart:

    member  look                            title
    0       A                               X
    1       B: another colour               X
    2       C: another print or emblem      X
    3       A                               Y: another model number or capacity
    4       D: another look altogether      Z: other numbers too

Some families name the colour in their titles; there image and title both tell.
"""

from dataclasses import dataclass, replace
from random import Random

from fairseq_item.demo.leaves import COLOURS, LEAVES, Leaf
from fairseq_item.demo.patterns import EMBLEMS

FAMILY = 5

BRANDS = {
    "Clothing": ("Velmora", "Tarnwick", "Osbreya", "Linnacre", "Quillmere", "Ruskano", "Fenhollow"),
    "Shoes": ("Strivane", "Pacelune", "Molgrave", "Trekkaro", "Hoofbrae", "Zandrift"),
    "Bags": ("Carrolune", "Packmere", "Satchwyn", "Nomerrah", "Bristwick", "Tovelline"),
    "Electronics": (
        "Voltrane",
        "Quendix",
        "Numbrio",
        "Axolunar",
        "Pixmora",
        "Zetharo",
        "Hertzalia",
    ),
    "Kitchen": ("Brewmarra", "Kuchello", "Panvere", "Stovane", "Teaforra", "Hearthlyn"),
    "Accessories": ("Chronavel", "Tickmere", "Solvantha", "Glintora", "Aurivexa"),
    "Toys": ("Giggeloo", "Tumbelo", "Plushwyn", "Wobbelo", "Zippadoon", "Cubbary"),
    "Home": ("Lumivale", "Glowmarra", "Shadewyn", "Norrglim", "Beamorra"),
}
LINES = ("Aero", "Nova", "Terra", "Pulse", "Luna", "Vertex", "Orbit", "Drift", "Ember", "Atlas",
         "Coral", "Summit", "Echo", "Breeze", "Titan", "Halo", "Metro", "Polar", "Sierra", "Zenith",
         "Willow", "Comet", "Harbour", "Prairie")  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What an image shows. Colours are RGB; what the other fields do, each drawing says.

    Attributes:
        names: names of ``colours``.
        colours: ground, accent and third colour.
    """

    shape: int
    proportions: tuple
    names: tuple
    pattern: str
    emblem: str
    trimmed: bool
    fold: bool
    worn: int
    inside: tuple

    @property
    def colours(self):
        return tuple(COLOURS[name] for name in self.names)

    @property
    def colour(self):
        return COLOURS[self.names[0]]

    @property
    def accent(self):
        return COLOURS[self.names[1]]

    @property
    def third(self):
        return COLOURS[self.names[2]]


@dataclass(frozen=True)
class Wording:
    """What a title tells.

    Attributes:
        model: model number, such as "TX-204".
        specs: values of the two properties that no image shows.
        names_colour: whether sellers of this family mention the colour.
    """

    brand: str
    line: str
    model: str
    noun: str
    specs: tuple
    traits: tuple
    names_colour: bool


@dataclass(frozen=True)
class Product:
    """A product: what it is, how it looks, what it is called."""

    number: int
    leaf: Leaf
    look: Look
    wording: Wording


def product(seed, number):
    """Product ``number`` of the catalogue of ``seed``; does not depend on how many there are."""
    family, member = divmod(number, FAMILY)
    leaf = _leaf(seed, family)
    rng = Random(f"{seed}/family/{family}")
    look, wording = _look(rng, leaf), _wording(rng, leaf)
    # Drawn in every case, so that a member does not shift what the next ones get.
    recoloured, reprinted = _recoloured(rng, leaf, look), _reprinted(rng, leaf, look)
    another = _reprinted(rng, leaf, _recoloured(rng, leaf, look))
    renumbered, anew = _renumbered(rng, leaf, wording), _anew(rng, leaf, wording)
    looks = (look, recoloured, reprinted, look, another)
    wordings = (wording, wording, wording, renumbered, anew)
    return Product(number, leaf, looks[member], wordings[member])


def _leaf(seed, family):
    """Leaf categories take turns, in an order that is new each round."""
    turn, position = divmod(family, len(LEAVES))
    order = list(LEAVES)
    Random(f"{seed}/leaves/{turn}").shuffle(order)
    return order[position]


def _distance(first, second):
    return sum(abs(a - b) for a, b in zip(COLOURS[first], COLOURS[second], strict=True))


def _other_colour(rng, palette, *taken):
    """A colour that nobody will mistake for one of ``taken``."""
    far = [name for name in palette if all(_distance(name, other) > 130 for other in taken)]
    return rng.choice(far or [name for name in palette if name not in taken])


def _look(rng, leaf):
    ground = rng.choice(leaf.palette)
    accent = _other_colour(rng, leaf.palette, ground)
    third = _other_colour(rng, tuple(COLOURS), ground, accent)
    return Look(
        shape=rng.randrange(4),
        proportions=(rng.uniform(-1, 1), rng.uniform(-1, 1)),
        names=(ground, accent, third),
        pattern=rng.choice(leaf.prints) if rng.random() < 0.3 else "plain",
        emblem=rng.choice(tuple(EMBLEMS)) if rng.random() < leaf.emblem else "none",
        trimmed=rng.random() < 0.5,
        fold=rng.random() < 0.5,
        worn=rng.randrange(3),
        inside=rng.choice(((244, 242, 236), (58, 58, 62), (206, 206, 204), (120, 96, 76))),
    )


def _recoloured(rng, leaf, look):
    ground = _other_colour(rng, leaf.palette, look.names[0])
    accent = look.names[1]
    if _distance(ground, accent) < 130:
        accent = _other_colour(rng, leaf.palette, ground, look.names[0])
    return replace(look, names=(ground, accent, look.names[2]))


def _reprinted(rng, leaf, look):
    if leaf.emblem and rng.random() < 0.5:
        others = [name for name in EMBLEMS if name != look.emblem]
        return replace(look, emblem=rng.choice(others))
    if look.pattern != "plain" and rng.random() < 0.3:
        return replace(look, pattern="plain")
    return replace(look, pattern=rng.choice([p for p in leaf.prints if p != look.pattern]))


def _wording(rng, leaf):
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTVWXZ") for _ in range(rng.choice((1, 2, 2, 3))))
    return Wording(
        brand=rng.choice(BRANDS[leaf.meta]),
        line=rng.choice(LINES),
        model=f"{letters}-{rng.randrange(100, 1000)}",
        noun=rng.choice(leaf.nouns),
        specs=tuple(rng.choice(values) for values in leaf.specs),
        traits=tuple(rng.sample(leaf.traits, 2)),
        names_colour=rng.random() < 0.4,
    )


def _renumbered(rng, leaf, wording):
    """The same but for one number."""
    if rng.random() < 0.5:
        which = rng.randrange(len(leaf.specs))
        values = [value for value in leaf.specs[which] if value != wording.specs[which]]
        specs = list(wording.specs)
        specs[which] = rng.choice(values)
        if which == 0:
            return replace(wording, specs=tuple(specs))
    letters, digits = wording.model.split("-")
    position = rng.randrange(1, 3)
    digit = rng.choice([d for d in "0123456789" if d != digits[position]])
    return replace(wording, model=f"{letters}-{digits[:position]}{digit}{digits[position + 1 :]}")


def _anew(rng, leaf, wording):
    fresh = _wording(rng, leaf)
    return replace(fresh, brand=wording.brand, line=wording.line, names_colour=wording.names_colour)
