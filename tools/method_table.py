"""Tables of all methods out of their registrations: a page of mkdocs, and the parts of ``docs/methods.md``.

The page of needs is made when the documentation is built. In ``docs/methods.md`` stand three parts between
``<!-- methods: NAME -->`` and ``<!-- end -->``; `tools/results_table.py` writes them anew, and a test finds old ones.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rolewise.distill import METHODS, method_settings
from rolewise.distill.declarations import Declaration, all_declarations

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

HEAD = """# Needs of every method

What each method reads and needs, out of its registration and small calls of its loss. The same is filtered by
`rolewise list methods --where reads=maps --where mixed=sound`; [methods](methods.md) has the losses themselves.

"""
_READS = ("logits", "features", "stages")
#: Default taps that are a row of places, as words.
_ROWS = {
    "stage1 stage2 stage3 stage4": "all stages",
    "level1 level2 level3 level4 level5": "all levels",
}


def _table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page() -> str:
    """Gives the page of needs: a row for each method."""
    rows = [(one.name, one.cells) for one in all_declarations()]
    return HEAD + _table(["method", *rows[0][1]], [[f"`{name}`", *cells.values()] for name, cells in rows])


def settings() -> str:
    """Gives the table of what each method reads by default, with its weight and its settings."""
    rows = []
    for one in sorted(all_declarations(), key=lambda one: (_READS.index(one.reads), one.taught_by, one.name)):
        given = method_settings(one.name)
        weight = given.pop("weight")
        listed = [f"`{key}`" if key.endswith("_taps") else f"`{key}={_value(value)}`" for key, value in given.items()]
        rows.append([f"`{one.name}`", _reads(one), _value(weight), ", ".join(listed)])
    return _table(["method", "reads", "default weight", "settings"], rows)


def learning() -> str:
    """Gives the sentence that names the methods with parts to be trained."""
    found = [one for one in all_declarations() if one.learns]
    always = [f"`{one.name}`" for one in found if not one.learns_between_widths]
    wide = [f"`{one.name}`" for one in found if one.learns_between_widths]
    return (
        "The optimiser takes `distiller.trainable_parameters()` where a method learns something, and otherwise the "
        f'student\'s parameters. Always: {_joined(always)} (`match` but with `map="none"`). Where the widths of the '
        f"networks differ: {_joined(wide)}.\n"
    )


def mixed() -> str:
    """Gives the sentences on labels, classes, batches, norms and on methods that exclude each other."""
    found = all_declarations()
    parts = [f"All methods but {_named(found, lambda one: one.mixed_labels == 'unsound')} are sound with mixed images "
             "and soft labels; those refuse them."]  # fmt: skip
    fewest = sorted({one.least_classes for one in found} - {2})
    parts += [
        f"{_named(found, lambda one, least=least: one.least_classes == least)} want at least {least} classes and are "
        "refused below, where they are constant or plain `kd`."
        for least in fewest
    ]
    parts += [
        f"`{one.name}` wants `train.batches: {one.batches}`, and a config without it is refused."
        for one in found
        if one.batches
    ]
    parts += [f"`{one.name}` wants a teacher with batch norms." for one in found if one.needs_norms]
    pairs = {tuple(sorted((one.name, other))) for one in found for other in one.excludes}
    parts += ["For one student these exclude each other: "
              + "; ".join(f"`{one}` and `{other}`" for one, other in sorted(pairs)) + "."]  # fmt: skip
    return " ".join(parts) + "\n"


def _named(found: list[Declaration], wanted: Any) -> str:
    return _joined([f"`{one.name}`" for one in found if wanted(one)])


def _joined(names: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _value(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return f"{Decimal(repr(value)).normalize():f}" if isinstance(value, float) else str(value)


def _reads(one: Declaration) -> str:
    """Returns the tensors that a method reads by default, in words."""
    info = METHODS[one.name]
    term, whose = info.term, {"several": " of several teachers", "itself": " of the student alone"}
    read = []
    if one.reads == "logits":
        read.append(" or ".join(info.rows) + whose.get(one.taught_by, ""))
    else:
        taps = _ROWS.get(" ".join(info.taps), _joined([f"`{tap}`" for tap in info.taps]))
        read.append(taps + whose.get(one.taught_by, ""))
        read += ["logits"] if term is not None and term.reads_outputs else []
    read += [one.targets] if one.targets != "none" else []
    read += ["the rows of the examples"] if one.needs_indices else []
    read += [f"a view `{view}`" for view in (() if term is None else term.views)]
    read += ["the teacher's batch norms"] if one.needs_norms else []
    learned = "; learned parts" + (" where the widths differ" if one.learns_between_widths else "")
    return ", ".join(read) + (learned if one.learns else "")


#: The parts of ``docs/methods.md`` by name.
PARTS = {"settings": settings, "learning": learning, "mixed": mixed}


def part(figures: object, name: str) -> str:
    """Gives a part of ``docs/methods.md``.

    Args:
        figures: of no use: methods are no results.
        name: of `PARTS`.
    """
    return PARTS[name]()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Makes the page of needs."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "method_needs.md", content=page()))
    return files
