"""The blocks of code in what people read: README, CONTRIBUTING and `docs/`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *(REPOSITORY / "docs").rglob("*.md")],
    key=lambda path: str(path.relative_to(REPOSITORY)),
)
_BLOCK = re.compile(
    r"(?P<said><!-- not run: (?P<reason>[^\n]+) -->\n)?^```(?P<language>[^\n]*)\n(?P<code>.*?)^```$", re.DOTALL | re.M
)


class Block(NamedTuple):
    """A block: its page, the line it begins in, its language, its code, and why it is not run here, if it is not."""

    page: Path
    line: int
    language: str
    code: str
    reason: str

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text[: found.start("language")].count("\n") + 1
        yield Block(page, line, found["language"], found["code"], found["reason"] or "")


def commands(code: str) -> Iterator[list[str]]:
    """Command lines of `fld` in a block of shell, as words; what is optional in a synopsis is left out."""
    for line in code.replace("\\\n", " ").splitlines():
        stripped = re.sub(r"\[-[^\]]*\]|\[[A-Z]+\]", "", line)
        words = shlex.split(stripped, comments=True)
        for number, word in enumerate(words):
            begins = number == 0 or words[number - 1] in ("--", "&&", "|", ";")
            if begins and word in ("fld", ".venv/bin/fld", "env/bin/fld"):
                rest = words[number + 1 :]
                ends = [index for index, one in enumerate(rest) if one in (";", "&&", "|", ">") or one.endswith(";")]
                yield rest[: ends[0]] if ends else rest
                break
