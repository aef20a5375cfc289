"""Taps: places in a network by path, what they hold in a forward pass, and a context for a look at them."""

from rolewise.taps.hooks import Taps
from rolewise.taps.looking import tap
from rolewise.taps.names import names_of, resolve, taps_of
from rolewise.taps.paths import TapPath, parse_tap

__all__ = ["TapPath", "Taps", "names_of", "parse_tap", "resolve", "tap", "taps_of"]
