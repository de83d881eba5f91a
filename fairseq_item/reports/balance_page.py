"""The modality-balance report as two Markdown tables."""

CHANGES = {
    "title_removed": "title removed",
    "title_replaced": "another product's title",
    "image_removed": "image removed",
    "image_replaced": "another product's image",
}


def fusion_label(settings):
    """A fusion in words: "sum, weights 0.5 1 0.5"."""
    return f"{settings['fusion']}, weights {' '.join(f'{w:g}' for w in settings['weights'])}"


def fusions_shown(report):
    """(name, settings) of the fusions of a report, an index's own once if it is the paper's."""
    own, paper = report["fusions"]["index"], report["fusions"]["paper"]
    same = fusion_label(own) == fusion_label(paper)
    return [("index", own)] if same else [("index", own), ("paper", paper)]


def markdown(report):
    """``report`` of ``balance.report`` as two tables, without headings: it may go into a page."""
    used = report["index"]
    lines = [
        f"{report['queries']} queries, {report['items']} items; percent at k = {report['k']}, 95% "
        f"bootstrap intervals in square brackets; transform {used['transform']}, calibration "
        f"{used['calibration']}.",
        "",
        "Each similarity alone, then the share of answers that it wins and, in round brackets, how "
        "many of these are right:",
        "",
        *_attribution(report),
        "",
        *_changes(report),
    ]
    return "\n".join(lines) + "\n"


def _attribution(report):
    k, shown = report["k"], fusions_shown(report)
    header = ["similarity", f"MAR@{k}", f"MAP@{k}"]
    for _, settings in shown:
        label = fusion_label(settings)
        header += [f"{label}: first answer", f"{label}: first {k}"]
    rows = []
    for name, scores in report["alone"].items():
        row = [name, *_scores(scores, k)]
        for _, settings in shown:
            row += [_won(settings[which][name]) for which in ("first", "answers")]
        rows.append(row)
    for number, (_, settings) in enumerate(shown):
        row = [f"fused: {fusion_label(settings)}", *_scores(settings["scores"], k)]
        row += [""] * (2 * len(shown))
        row[3 + 2 * number : 5 + 2 * number] = [
            f"100 ({_number(settings[which]['right'])})" for which in ("first", "answers")
        ]
        rows.append(row)
    return _table(header, rows)


def _changes(report):
    if not report["changes"]:
        yield "Queries without title or image were not looked at: that needs the checkpoint."
        return
    yield "Scores when the query is changed:"
    yield ""
    k, shown = report["k"], fusions_shown(report)
    header = ["query", "hit@1", f"MAR@{k}", f"MAP@{k}", "difference", "first answer is the other's"]
    header += [f"MAP@{k}: {fusion_label(settings)}" for _, settings in shown[1:]]
    whole = report["fusions"]
    rows = [["whole", *_row(whole["index"]["scores"], k), "", ""]]
    rows[0] += [_interval(settings["scores"], f"MAP@{k}") for _, settings in shown[1:]]
    for name, label in CHANGES.items():
        if name not in report["changes"]:
            continue
        entry = report["changes"][name]
        row = [label, *_row(entry, k), _interval(entry, "difference"), _number(entry.get("others"))]
        rows.append(row + [_interval(entry["under_paper"], f"MAP@{k}")] * (len(shown) - 1))
    yield from _table(header, rows)
    for name, reason in report["left_out"].items():
        yield ""
        yield f"Left out: {CHANGES[name]} ({reason})."


def _row(scores, k):
    return [_number(scores["hit@1"]), *_scores(scores, k)]


def _scores(scores, k):
    """MAR and MAP; dashes for a similarity that no query has."""
    if scores is None:
        return ["-", "-"]
    return [_number(scores[f"MAR@{k}"]), _interval(scores, f"MAP@{k}")]


def _won(entry):
    return f"{entry['share']:.1f} ({_number(entry['right'])})"


def _interval(scores, name):
    if f"{name}_ci95" not in scores:
        return _number(scores[name])
    low, high = map(_number, scores[f"{name}_ci95"])
    return f"{_number(scores[name])} [{low}, {high}]"


def _number(value):
    return "-" if value is None else f"{value:.1f}"


def _table(header, rows):
    """Lines of a Markdown table; numbers to the right."""
    yield "| " + " | ".join(header) + " |"
    yield "|---" + "|---:" * (len(header) - 1) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
