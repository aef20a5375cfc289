"""Cells that a spreadsheet would compute are quoted, and come back as they were."""

from __future__ import annotations

import csv
import io

import pytest

from rolewise.csv_cells import as_cell, as_csv, is_quoted, text_of

ACTIVE = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''", "-", '=HYPERLINK("http://x","y")']
HARMLESS = ["", "two\r\nlines", 'a,"b"', "bare\rreturn", "1e-3", "kd T=4", "a-b", "10%", "[4, 6]", "it's", "é", "true"]


@pytest.mark.parametrize("text", [*ACTIVE, *HARMLESS])
def test_text_comes_back_as_it_was(text: str) -> None:
    cell = as_cell(text)
    assert text_of(cell) == text
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert is_quoted(cell) is (text in ACTIVE)
    # As the middle one of three: a reader skips a row that is empty.
    _, read = list(csv.reader(io.StringIO(as_csv([{"b": text}], ["a", "b", "c"]), newline="")))
    assert [text_of(one) for one in read] == ["", text, ""]


def test_numbers_keep_their_sign_and_are_no_text() -> None:
    assert [as_cell(value) for value in (-1.5, -1, 1e-9, True, None)] == ["-1.5", "-1", "1e-09", "true", ""]


def test_headings_are_cells_too() -> None:
    assert as_csv([{"=x": -1, "y": "@a"}], ["=x", "y", "z"]) == "'=x,y,z\n-1,'@a,\n"
