"""Messages in the FAQ are those that the code has."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
MESSAGE = re.compile(r"\*\*`([^`]*)`\*\*")
LEAST = 12  # characters that are told apart by


def templates():
    """Every string of the package as a pattern in which what is filled in may be anything."""
    for path in (ROOT / "fairseq_item").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else None for p in node.values]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                parts = [node.value]
            else:
                continue
            if sum(len(part) for part in parts if part) >= LEAST:
                yield "".join(".+" if part is None else re.escape(part) for part in parts)


def test_messages_are_real():
    known = [re.compile(template) for template in templates()]
    messages = MESSAGE.findall((ROOT / "docs" / "faq.md").read_text())
    assert len(messages) > 30
    wrong = [m for m in messages if not any(pattern.fullmatch(m) for pattern in known)]
    assert not wrong, "\n".join(wrong)
