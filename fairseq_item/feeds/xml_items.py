"""The items of an RSS or Atom feed, one after another, by expat: no tree, no entities, no DTD."""

from xml.parsers import expat

from fairseq_item.errors import InputError
from fairseq_item.feeds.blocks import MAX_LINE, blocks

ITEMS = ("item", "entry")
# Namespaces of the frame itself; elements of any other, such as Google's, go before these.
FRAMES = ("", "http://www.w3.org/2005/Atom", "http://purl.org/rss/1.0/")
MAX_DEPTH = 64


class _Items:
    """Handlers that collect the items which are whole."""

    def __init__(self, path):
        self.path, self.done, self.root = path, [], ""
        self.depth, self.item_depth, self.size, self.skipped = 0, 0, 0, 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.characters
        self.parser.StartDoctypeDeclHandler = self.refuse_doctype
        self.parser.buffer_text = True

    def refuse_doctype(self, *_):
        # Entities are declared there: files of other machines, and texts that grow without end.
        raise InputError(
            f"{self.path} line {self.parser.CurrentLineNumber} declares a DOCTYPE, which no feed "
            "needs; take it out"
        )

    def start(self, name, attributes):
        self.depth += 1
        space, _, local = name.rpartition(" ")
        self.root = self.root or local
        if self.depth > MAX_DEPTH:
            self._fail(f"has elements inside one another over {MAX_DEPTH} deep")
        if not self.item_depth:
            self.size = 0
            if local in ITEMS:
                self.item_depth = self.depth
                self.line, self.own, self.frame = self.parser.CurrentLineNumber, {}, {}
        elif self.depth == self.item_depth + 1:
            self.local, self.text = local, []
            self.into = self.frame if space in FRAMES else self.own
            self.href = attributes.get("href", "")

    def characters(self, text):
        self.size += len(text)
        if self.size > MAX_LINE:
            self._fail(f"has over {MAX_LINE >> 20} MiB of text in one item")
        if self.item_depth and self.depth == self.item_depth + 1:
            self.text.append(text)

    def end(self, _):
        if self.item_depth and self.depth == self.item_depth + 1:
            value = "".join(self.text).strip() or self.href
            self.into.setdefault(self.local.lower(), []).append(value)
        elif self.depth == self.item_depth:
            self.done.append((self.line + self.skipped, {**self.frame, **self.own}))
            self.item_depth = self.size = 0
        self.depth -= 1

    def _fail(self, problem):
        line = self.parser.CurrentLineNumber
        raise InputError(f"{self.path} line {line} {problem}; this is no feed of products")


def items(path):
    """Yield (line, dict of name -> list of str) of a feed's items; what lies deeper is left out.

    Names are in lower case, without their namespace. Where an item has an element of the frame
    (``title``) and one of a namespace of its own (``g:title``), the latter counts.

    Raises:
        InputError: the file is not well-formed, declares a DOCTYPE, or has an item without end.
    """
    collected = _Items(path)
    silent = 0
    for block in blocks(path):
        before = collected.parser.CurrentByteIndex
        _feed(collected, block, False)
        silent = silent + len(block) if collected.parser.CurrentByteIndex == before else 0
        if silent > MAX_LINE:
            collected._fail(f"has a tag of over {MAX_LINE >> 20} MiB")
        yield from collected.done
        collected.done.clear()
    _feed(collected, b"", True)
    yield from collected.done


def root(path):
    """The name of the outermost element; empty where the file does not start as XML."""
    collected = _Items(path)
    for block in blocks(path):
        _feed(collected, block, False)
        break
    return collected.root.lower()


def _feed(collected, block, last):
    if collected.parser.CurrentByteIndex < 0:  # blanks before the first tag, which many have
        collected.skipped = block[: -len(block.lstrip())].count(b"\n")
        block = block.lstrip()
    try:
        collected.parser.Parse(block, last)
    except expat.ExpatError as error:
        raise InputError(
            f"{collected.path} line {error.lineno + collected.skipped} is not well-formed XML "
            f"({expat.ErrorString(error.code)}); nothing behind it can be read: export it again"
        ) from None
