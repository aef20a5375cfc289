"""Places in a forward pass, written as paths: a module, one of its runs, its input or output, and a part of that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from rolewise.errors import InputError, near

_FORM = re.compile(
    r"(?P<module>[^#:]*)(?:#(?P<run>all|[1-9]\d*))?(?::(?P<side>input|output)(?P<parts>(?:\.[^.:]+)*))?"
    r"(?::token\.(?P<token>\d+))?"
)
#: What a path looks like, for messages.
FORM = "a path such as blocks.5, attn:input, attn:output.0, cell#2, cell#all or blocks.5:token.0"


@dataclass(frozen=True)
class TapPath:
    """A place in a forward pass.

    Args:
        path: the text that it was written as.
        module: the path of the module; empty for the network itself.
        run: the run of the module that counts, from 1; ``all`` for all of them; None for a module that runs once.
        side: whether the module's input or its output is meant.
        parts: the way from there to a tensor: places in a tuple, from 0, keys of a mapping, names of attributes. Of
            an input, the first is the position or the keyword of the argument.
        token: the number of the one token of [B, T, D], from 0; None for the whole tensor.
    """

    path: str
    module: str
    run: int | Literal["all"] | None = None
    side: Literal["input", "output"] = "output"
    parts: tuple[str, ...] = ()
    token: int | None = None

    def read(self, value: Any) -> Tensor:
        """Returns the tensor at this place.

        Args:
            value: the module's output, or its arguments as a mapping from position or keyword.

        Raises:
            InputError: there is no such part, or it is no tensor; the message names the parts that there are.
        """
        for part in self.parts:
            known = named_parts(value)
            if part not in known:
                raise InputError(f"tap {self.path!r} must name a part that is there, got {part!r}{near(part, known)}")
            value = known[part]
        if isinstance(value, Tensor):
            return value if self.token is None else self._token(value)
        raise InputError(f"tap {self.path!r} must give a tensor, got {type(value).__name__}; {self._remedy(value)}")

    def _token(self, value: Tensor) -> Tensor:
        if value.ndim != 3 or self.token is None or self.token >= value.shape[1]:
            raise InputError(f"tap {self.path!r} must be one of tokens [B, T, D], got {list(value.shape)}")
        return value[:, self.token]

    def _remedy(self, value: Any) -> str:
        tensors = [name for name, part in named_parts(value).items() if isinstance(part, Tensor)]
        if not tensors:
            return "tap a module inside it"
        start = self.path.partition(":")[0]
        steps = (*self.parts, tensors[0]) if self.side == "output" or self.parts else ("0", tensors[0])
        return f"name a part, as in {f'{start}:{self.side}.' + '.'.join(steps)!r} (parts: {', '.join(tensors)})"


def parse_tap(path: str) -> TapPath:
    """Returns the place that a path stands for.

    Args:
        path: such as ``layer``, ``layer:input``, ``:output.last_hidden_state`` (of the network itself),
            ``layer.attn#2:output.0``, or ``blocks.5:token.0``.

    Raises:
        InputError: the path has another form.
    """
    found = _FORM.fullmatch(path)
    if found is None or not path:
        raise InputError(f"a tap must be {FORM}, got {path!r}")
    run, token = found["run"], found["token"]
    return TapPath(
        path=path,
        module=found["module"],
        run="all" if run == "all" else int(run) if run else None,
        side="input" if found["side"] == "input" else "output",
        parts=tuple(found["parts"].split(".")[1:]) if found["parts"] else (),
        token=int(token) if token else None,
    )


def named_parts(value: Any) -> dict[str, Any]:
    """Returns the parts that a path can name in a tuple, a list, a mapping or an object; none in a tensor."""
    if isinstance(value, Tensor):
        return {}
    if isinstance(value, Mapping):
        return {str(key): part for key, part in value.items()}
    named = {name: getattr(value, name) for name in getattr(value, "_fields", ())}
    if isinstance(value, (tuple, list)):
        return {**{str(index): part for index, part in enumerate(value)}, **named}
    return dict(getattr(value, "__dict__", {}))
