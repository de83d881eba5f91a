"""Where a title has its brand: told by a column ``brand``, or learnt from how titles begin."""

from collections import Counter, defaultdict

from fairseq_item.data.text import clean_title

COLUMN = "brand"
MOST_WORDS = 4
# A first word is a brand if so many titles begin with it, ...
MIN_TITLES = 8
# ... and if of the titles that have it, this share begins with it: product words stand elsewhere.
MIN_FIRST = 0.6
# The next word belongs to it ("Peter" "England") if it follows in this share of the titles.
MIN_FOLLOWS = 0.8


class Brands:
    """Finds the brand of a title.

    Args:
        prefixes: lower-case brands, a set of tuples of words.
    """

    def __init__(self, prefixes=frozenset()):
        self.prefixes = frozenset(prefixes)

    @classmethod
    def learn(cls, rows, no_brands=frozenset()):
        """Learn the brands of a catalogue; those of different titles that begin alike.

        Args:
            rows: can be iterated over twice; dicts with ``title``.
            no_brands: lower-case words that neither begin nor go on a brand.
        """
        firsts, anywhere = Counter(), Counter()
        for words in map(_words, rows):
            firsts.update(words[:1])
        firsts = {
            word: n for word, n in firsts.items() if n >= MIN_TITLES and word not in no_brands
        }
        titles = defaultdict(Counter)  # first word -> how titles go on with MOST_WORDS - 1 others
        distinct = defaultdict(set)
        for words in map(_words, rows):
            anywhere.update(firsts.keys() & set(words))
            if words[:1] and words[0] in firsts:
                titles[words[0]][tuple(words[1:MOST_WORDS])] += 1
                if len(distinct[words[0]]) < MIN_TITLES:
                    distinct[words[0]].add(tuple(words))
        found = set()
        for word, count in firsts.items():
            if count >= MIN_FIRST * anywhere[word] and len(distinct[word]) >= MIN_TITLES:
                found.add((word, *_goes_on(titles[word], no_brands)))
        return cls(found)

    def find(self, row):
        """Where the brand stands among the words of ``row["title"]``: (first, end), or None."""
        words = _words(row)
        brand = clean_title(row.get(COLUMN, "")).lower().split()
        for start in range(len(words) - len(brand) + 1 if brand else 0):
            if words[start : start + len(brand)] == brand:
                return start, start + len(brand)
        for length in range(MOST_WORDS, 0, -1):
            if tuple(words[:length]) in self.prefixes:
                return 0, length
        return None


def _words(row):
    return clean_title(row["title"]).lower().split()


def _goes_on(titles, no_brands):
    """The further words of a brand.

    Args:
        titles: what follows its first word (a tuple) -> number of titles.
    """
    brand, total = (), titles.total()
    for length in range(MOST_WORDS - 1):
        following = Counter()
        for words, count in titles.items():
            if words[:length] == brand and len(words) > length:
                following[words[length]] += count
        word, count = following.most_common(1)[0] if following else ("", 0)
        if count < MIN_FOLLOWS * total or (word in no_brands and word not in ("of", "and", "&")):
            break
        brand += (word,)
    while brand and brand[-1] in no_brands:
        brand = brand[:-1]
    return brand
