"""The colours of the pages, light and dark: figures name the light ones, and the page shows those of its mode."""

from __future__ import annotations

import colorsys

#: Of text, surfaces and marks: name -> (light, dark).
SURFACES = {
    "paper": ("#ffffff", "#12161c"),
    "raised": ("#f5f7f9", "#1b2129"),
    "ink": ("#17202b", "#e7ebf0"),
    "grey": ("#556270", "#a3b0bd"),
    "faint": ("#dde3e9", "#303944"),
    "accent": ("#0a5aa8", "#79b8ff"),
    "good": ("#0a6b4a", "#4fcf9f"),
    "bad": ("#a8321b", "#ff9a85"),
}
#: Of lines and marks, told apart by people who do not see all colours: (light, dark), the same hue in both.
SERIES = (
    ("#0a60b6", "#55a6f6"),
    ("#c07a06", "#f2b13c"),
    ("#048b3c", "#2efa83"),
    ("#9f0474", "#e2359f"),
    ("#9b10f9", "#b04dff"),
    ("#fb5659", "#f03a3a"),
    ("#485a02", "#809749"),
    ("#069ae5", "#cdeefe"),
)

INK, GREY, FAINT, PAPER = (SURFACES[name][0] for name in ("ink", "grey", "faint", "paper"))
COLOURS = tuple(light for light, _ in SERIES)
#: The text on a square of a heat map: its background is the same in both modes, and so it does not change.
ON_DARK, ON_LIGHT = "#fdfdfd", "#18212c"


def colours(count: int) -> list[str]:
    """Returns as many colours, no two alike: those of `COLOURS`, then others spread over hue and lightness.

    Args:
        count: the number of colours.
    """
    found = [*COLOURS]
    number = 0
    while len(found) < count:
        # Steps of the golden angle never come back to a hue; three luminances tell neighbours apart.
        hue, bright = (0.11 + number * 0.6180339887) % 1, (0.14, 0.28, 0.2)[number % 3]
        colour = _of_luminance(hue, bright)
        number += 1
        if colour not in found:
            found.append(colour)
    return found[:count]


def _of_luminance(hue: float, wanted: float) -> str:
    """Returns the colour of a hue with a relative luminance: 0.13 to 0.3 stand out from light and from dark paper."""
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        parts = colorsys.hls_to_rgb(hue, middle, 0.6)
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        if 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] < wanted:
            low = middle
        else:
            high = middle
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, (low + high) / 2, 0.6))
    return f"#{red:02x}{green:02x}{blue:02x}"


def variables() -> dict[str, str]:
    """Returns the name of the page's variable for each colour that changes with the mode."""
    named = {light: f"var(--{name})" for name, (light, _) in SURFACES.items()}
    return named | {light: f"var(--series-{number})" for number, (light, _) in enumerate(SERIES)}


def declarations(mode: int) -> str:
    """Returns the declarations of all variables for a style sheet.

    Args:
        mode: 0 for the light mode, 1 for the dark one.
    """
    pairs = [(name, both[mode]) for name, both in SURFACES.items()]
    pairs += [(f"series-{number}", both[mode]) for number, both in enumerate(SERIES)]
    return " ".join(f"--{name}: {colour};" for name, colour in pairs)
