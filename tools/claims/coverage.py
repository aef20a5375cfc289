"""Finds sentences that look like results, in what a document says outside of its derived parts."""

from __future__ import annotations

import re
from collections.abc import Iterator

#: What is derived: paragraphs, and tables.
DERIVED = re.compile(r"<!-- (\w+): ([\w ]+) -->\n.*?<!-- end -->", re.S)
_CODE = re.compile(r"^( *)```.*?^\1```", re.S | re.M)
_NUMBER = r"[-+]?\d*\.?\d+"
#: What a result looks like. Each kind is there because a sentence of that kind once stood and was wrong, or stale.
SIGNS = re.compile(
    "|".join(
        (
            r"±",
            rf"{_NUMBER} (?:percentage )?points?\b",
            rf"\({_NUMBER} to {_NUMBER}\)",
            r"\d\.?\d*\s?%",
            r"\bper ?cent of\b",
            r"\b(?:Holm(?:'s)?|adjusted) p\b",
            r"\bp (?:value )?(?:=|<|of|is|was) ?[.\d]",
            r"\b\d[\d.,]* (?:ms|s|min|seconds|minutes|hours)\b",
            r"\b\d[\d.,]* times (?:as|faster|slower|the|longer|more|less|better|worse)\b",
            r"\b(?:twice|half|(?:two|three|four|five|six|ten) times) as (?:fast|slow|good|large|long|many|much)\b",
            r"\b(?:cannot|can not|could not|can|could) be told\b(?! from its)",
            r"\b(?:within|beyond|more than) (?:the |its )?noise\b",
            r"\b(?:beats?|beaten|outperform\w*|surpass\w*|wins?|won)\b",
            r"\b(?:helps?|helped|improves?|improved|hurts?|harms?|gains?|loses?) "
            r"(?:the|a|every|both|each|under|on|it|by|from|no|most|more)\b",
            r"\b(?:is|are|was|were|does|do|did|not|clearly|slightly|far|much|no) (?:better|worse)\b",
            r"\b(?:makes?|made) (?:no|a|little|some) difference\b",
            r"\b(?:more|less) accurate\b",
            r"\b(?:accuracy|error) (?:of|is|was|falls?|fell|rises?|rose|drops?|dropped)\b.*\d",
        )
    ),
    re.I,
)
_ENDS = re.compile(r"(?<=[.!?:;])\)?\s+(?=[A-Z0-9`\[*(\"])")
#: Two numbers with a fraction in one row of a table.
_MEASURED_ROW = re.compile(r"\d\.\d.*\|.*\d\.\d|\d \| \d+\.\d|±")


def rest(text: str) -> str:
    """Returns a document without its derived parts and its code."""
    return _CODE.sub("", DERIVED.sub("", text))


def blocks(text: str) -> Iterator[str]:
    """Gives paragraphs, points of lists and rows of tables, each as one line."""
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|]|\d+\.) ?)|\n(?=#)", text):
        line = " ".join(block.split())
        if line and not line.startswith(("#", "<!--", ":::", "![")):
            yield line


def sentences(block: str) -> list[str]:
    """Returns the sentences of a block; a row of a table is one."""
    return [block] if block.startswith("|") else _ENDS.split(block)


def looks_like_result(sentence: str) -> bool:
    """Whether a sentence, or a row of a table, says something that reads like a result."""
    row = sentence.startswith("|")
    return bool(SIGNS.search(sentence) or (row and _MEASURED_ROW.search(sentence)))


def loose(text: str) -> list[str]:
    """Returns the sentences outside of derived parts that look like results."""
    return [one for block in blocks(rest(text)) for one in sentences(block) if looks_like_result(one)]
