"""The gallery's HTML: everything in one string, nothing loaded from elsewhere."""

import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from fairseq_item.search.embeddings import EMBEDDINGS
from fairseq_item.search.hits import SIMILARITIES, Hit

TEMPLATE = Path(__file__).with_name("gallery.html")


def render_page(
    title: str,
    methods: Sequence[tuple[str, dict[str, float]]],
    cards: Sequence[str],
    has_truth: bool,
    k: int,
) -> str:
    """The whole page.

    Args:
        title: heading.
        methods: list of (name, dict of scores such as {"MAR@10": 12.3}), the main one first.
        cards: list of HTML of ``render_card``.
        has_truth: whether true matches are known, and so can be missed.
        k: answers shown a query.
    """
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title),
        scores=_scores(methods),
        cards="\n".join(cards),
        count=len(cards),
        k=k,
        columns=min(k, 6),
        truth="" if has_truth else "hidden",
    )


def render_card(
    query: str,
    title: str,
    image: str,
    rows: Iterable[tuple[str, str, Iterable[str]]],
    missed: str = "",
    first_won: Sequence[str] = (),
) -> str:
    """One query and its answers.

    Args:
        query: id.
        title, image: of the query; the image is a data URI or "".
        rows: list of (method name, note, list of HTML of ``render_answer``).
        missed: HTML of ``render_missed`` if the first method did not find all true matches.
        first_won: names of the similarities that decided the first method's first answer.
    """
    answers = "".join(
        f'<section class="row"><h3>{escape(name)}<small>{escape(note)}</small></h3>'
        f'<ol class="strip">{"".join(tiles)}</ol></section>'
        for name, note, tiles in rows
    )
    return (
        f'<article class="card" data-missed="{int(bool(missed))}" data-won="{" ".join(first_won)}">'
        f'<div class="query"><span class="tag">Query</span>{_image(image, title)}'
        f'<p class="title">{_title(title)}</p><p class="id">{escape(query)}</p>{missed}</div>'
        f'<div class="rows">{answers}</div></article>'
    )


def render_answer(
    rank: int,
    hit: Hit,
    title: str,
    image: str,
    true: bool,
    won: Sequence[str],
    longest: float,
) -> str:
    """One answer.

    Args:
        rank: from 1.
        hit: ``hits.Hit``.
        title, image: of the item.
        true: whether it is a true match.
        won: names of the similarities that decided, none if unknown.
        longest: lexical similarity of a full bar.
    """
    state = ' <span class="match">match</span>' if true else ""
    return (
        f'<li class="tile{" true" if true else ""}">'
        f'<div class="frame">{_image(image, title)}'
        f'<span class="rank">{rank}</span>{state}</div>'
        f'<p class="title" title="{escape(title)}">{_title(title)}</p>'
        f'<p class="score"><b>{_score(hit.score)}</b>{_badge(won)}</p>'
        f"{_bars(hit.similarities, won, longest)}</li>"
    )


def render_missed(title: str, image: str, note: str) -> str:
    """A true match that is not among the answers shown; ``note`` says where it is instead."""
    return (
        f'<div class="missed"><span class="tag">Missed match</span><div class="body">'
        f'<div class="frame">{_image(image, title)}</div>'
        f'<div><p class="title" title="{escape(title)}">{_title(title)}</p>'
        f'<p class="id">{escape(note)}</p></div></div></div>'
    )


def _scores(methods):
    names = list(methods[0][1])
    if not names:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><th>{escape(method)}</th>"
        + "".join(f"<td>{scores[name]:.2f}</td>" for name in names)
        + "</tr>"
        for method, scores in methods
    )
    head = f"<thead><tr><th></th>{head}</tr></thead>"
    return f'<table class="scores">{head}<tbody>{body}</tbody></table>'


def _image(uri, title):
    if not uri:
        return '<div class="image none">no image</div>'
    return f'<img class="image" alt="{escape(title)}" src="{uri}">'


def _title(title):
    return escape(title) if title.strip() else "<em>no title</em>"


def _badge(won):
    if not won:
        return ""
    name = won[0] if len(won) == 1 else "tie"
    return f'<span class="badge of-{name}">{name}</span>'


def _score(value):
    return "\u2013" if math.isnan(value) else f"{value:.3f}"


def _bars(similarities, won, longest):
    """A bar for each similarity: of a cosine the share of the way to 1, of words to ``longest``."""
    if sum(not math.isnan(value) for value in similarities) < 2:
        return ""  # the score says it all
    bars = []
    for name, value in zip(SIMILARITIES, similarities):
        if math.isnan(value):
            # Products lack a title or an image now and then; most indexes know no other similarity.
            if name in EMBEDDINGS:
                bars.append(
                    f'<div class="bar absent"><span>{name}</span><i></i><b>\u2013</b></div>'
                )
            continue
        lexical = name not in EMBEDDINGS
        width = 100 * min(max(value / longest if lexical else value, 0.0), 1.0)
        text = f"{value:.1f}" if lexical else f"{value:.3f}"
        winner = " won" if name in won else ""
        bars.append(
            f'<div class="bar of-{name}{winner}"><span>{name}</span>'
            f'<i><u style="width:{width:.0f}%"></u></i><b>{text}</b></div>'
        )
    return f'<div class="bars">{"".join(bars)}</div>'
