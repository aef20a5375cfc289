"""Commands on data alone: look."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer

from rolewise.cli.options import Settings, app, console
from rolewise.errors import InputError
from rolewise.words import as_utf8, counted

#: Classes, groups of images and faulty files that are listed; --json has them all.
_CLASSES, _LISTED, _WIDTH = 40, 5, 79
_PARTS = ("train", "validation", "test")

data_app = typer.Typer(
    no_args_is_help=True, help="Look at data, and pack them.\n\nExample: rolewise data look photographs.yaml"
)
app.add_typer(data_app, name="data")


@data_app.command("look")
def look_command(
    config: Annotated[Path, typer.Argument(help="A YAML file with a section data.", show_default=False)],
    settings: Settings = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what is read of an experiment's data: counts, classes, sizes, copies, faulty files. Nothing is trained.

    The rest of the experiment may be missing.

    Example: rolewise data look configs/digits.yaml
    """
    from rolewise.cli.foreign import announced
    from rolewise.config.study_file import config_kind
    from rolewise.experiment.data_look import look_at_data

    if config.is_dir() and not any(config.glob("*.yaml")):
        how = f"rolewise new DIR --template photos --data {config}"
        raise InputError(
            f"{config} must be a config, got a folder; {how} writes one for pictures in it, and looks at them"
        )
    if config_kind(config) == "study":
        raise InputError(f"{config} must be an experiment, and is a study (it has a grid); look at its base instead")
    found = announced(config, settings or [], lambda: look_at_data(config, settings or []))
    if as_json:
        typer.echo(as_utf8(json.dumps(found, indent=2, ensure_ascii=False)))
    else:
        console.print("\n".join(_page(found)), soft_wrap=True)
    if found["faulty"] and not found["skipped"]:
        number = counted(len(found["faulty"]), "file")
        raise InputError(
            f"{config}: {number} cannot be read, and a run would end there; remove or replace "
            f"{'it' if len(found['faulty']) == 1 else 'them'}, or set data.arguments.faulty to skip"
        )


def _page(found: dict[str, Any]) -> list[str]:
    """Returns the findings as lines of at most 80 columns; names of files may be longer."""
    channels, height, width = found["shape"]
    kinds = {
        **{"classes": "classes", "labels": "labels", "numbers": "numbers to predict"},
        **{"masks": "classes of pixels", "boxes": "classes of boxes", "points": "points", "tags": "tags of tokens"},
    }
    kind = found["kind"]
    names = found.get("classes", found.get("numbers", []))
    # Of a single source, the images that test are taken too.
    parts = ("training ", "test ") if len(found["read"]) > 1 else ("",)
    read = " and ".join(counted(number, f"{part}{kind}") for number, part in zip(found["read"], parts, strict=True))
    head = (
        f"{found['data']}{' in ' + found['root'] if found['root'] else ''}: {read}, {len(names):,} "
        f"{kinds[found['targets']]}."
    )
    if kind == "image":
        head += f" Each image is {channels} x {height} x {width} (channels, height, width)."
    lines = [*_wrapped(head), "", *_table(found), ""]
    if found["targets"] == "numbers":
        lines += [f"{one['name']}: {_spread(one)}" for one in names[:_CLASSES]] + [""]
    if found["targets"] == "masks":
        text = "Images in which a class occurs, and the share of the training images' pixels that are of it."
        lines += [*_wrapped(f"{text} Pixels that do not count: {found['ignored']:.1%}."), ""]
    if found["targets"] == "boxes":
        aside = f" Neither learned nor counted: {found['boxes_aside']:,}." if found["boxes_aside"] else ""
        lines += [*_wrapped(f"Images in which a class has a box, and the training images' boxes of it.{aside}"), ""]
    if found["targets"] == "points":
        lines += ["Images in which a point is known.", ""]
    if found.get("unlabelled"):
        lines += [*_wrapped("The training images have no classes; validation and test images are labelled ones."), ""]
    if found["targets"] == "tags":
        lines += ["Counted are the tokens that have a tag.", ""]
    lines += [*_of_files(found.get("files")), *_of_texts(found.get("texts"))]
    same = "pixels" if kind == "image" else "tokens"
    for part, title in (
        ("both", f"Same {same} in training and test {kind}s"),
        ("training", f"Same {same} among the training {kind}s"),
        ("test", f"Same {same} among the test {kind}s"),
    ):
        lines += _groups(title, found["same"][part], "picture" if kind == "image" else "text")
    if kind == "image":
        lines += _faulty(found["faulty"], found["skipped"])
    return lines + [line for text in found["warnings"] for line in _wrapped(f"Note: {text}", "  ")]


def _table(found: dict[str, Any]) -> list[str]:
    """Returns the number of images of each part, and of each class in it."""
    rows = found.get("classes", [])
    shown = rows[:_CLASSES]
    title = {"labels": "label", "points": "point", "tags": "tag"}.get(found["targets"], "class")
    width = max([len(title), len("all images"), *(len(row["name"]) for row in shown)])
    width = min(width, 40)

    def line(name: str, cells: list[str]) -> str:
        name = name if len(name) <= width else name[: width - 3] + "..."
        return f"{name:<{width}}" + "".join(f"{cell:>12}" for cell in cells)

    last = {"masks": ["pixels"], "boxes": ["boxes"]}.get(found["targets"], [])
    lines = [line(title if rows else "", [*_PARTS, *last])]
    for row in shown:
        cells = [f"{row[part]:,}" for part in _PARTS]
        cells += [f"{row['pixels']:.1%}" if name == "pixels" else f"{row[name]:,}" for name in last]
        lines.append(line(row["name"], cells))
    if len(rows) > len(shown):
        lines.append(f"... and {len(rows) - len(shown):,} more (--json lists all)")
    empty = [row["name"] for row in rows if not row["train"]] if not found.get("unlabelled") else []
    lines.append(line(f"all {found['kind']}s", [f"{found['parts'][part]:,}" for part in _PARTS]))
    if empty:
        lines += _wrapped(f"No training {found['kind']}: {', '.join(empty[:_LISTED])}{_more(empty)}.")
    return lines


def _of_files(files: dict[str, Any] | None) -> list[str]:
    if files is None:
        return []
    lines = [f"Height: {_spread(files['height'])}", f"Width:  {_spread(files['width'])}"]
    for key in ("modes", "formats"):
        lines += _wrapped(f"{key.title()}: " + ", ".join(f"{name} {number:,}" for name, number in files[key].items()))
    if files["turned"]:
        lines.append(f"Turned as their EXIF entry orients them: {files['turned']:,}")
    if files["several_pictures"]:
        lines.append(f"With several pictures, of which the first is read: {files['several_pictures']:,}")
    return lines


def _of_texts(texts: dict[str, Any] | None) -> list[str]:
    if texts is None:
        return []
    lines = []
    for role, one in texts["roles"].items():
        whose = "Tokens" if len(texts["roles"]) == 1 else f"Tokens of the {role}"
        lines += _wrapped(f"{whose}: {_spread(one)}; {one['vocabulary']:,} are known to {one['tokenizer']}.", "  ")
    return [*lines, f"Texts that were cut: {texts['cut'] or 'none'}"]


def _groups(title: str, groups: list[list[str]], thing: str) -> list[str]:
    if not groups:
        return [f"{title}: none"]
    lines = [f"{title}: {counted(len(groups), thing)}"]
    return lines + [f"  {', '.join(group[:3])}{_more(group, 3)}" for group in groups[:_LISTED]] + _rest(groups)


def _faulty(faulty: list[dict[str, str]], skipped: bool) -> list[str]:
    if not faulty:
        return ["Faulty files: none"]
    lines = [f"Faulty files: {len(faulty):,}{', left out' if skipped else ''}"]
    for one in faulty[:_LISTED]:
        lines += [f"  {line}" for line in _wrapped(f"{one['file']} {one['reason']}", "  ")]
    return lines + _rest(faulty)


def _rest(values: list[Any]) -> list[str]:
    return [f"  ... and {len(values) - _LISTED:,} more (--json lists all)"] if len(values) > _LISTED else []


def _more(values: list[str], listed: int = _LISTED) -> str:
    return f" and {len(values) - listed:,} more" if len(values) > listed else ""


def _spread(values: dict[str, float]) -> str:
    return f"{values['min']:g} to {values['max']:g}, median {values['median']:g}"


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH - 2, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
