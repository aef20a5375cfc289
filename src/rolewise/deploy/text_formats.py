"""Trained networks of texts as ONNX files and torch programs, and these files run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.deploy.file_formats import session_of
from rolewise.deploy.text_file_facts import TextFileFacts, TokenForm
from rolewise.errors import InputError
from rolewise.files import write_bytes
from rolewise.inputs import call
from rolewise.logits import logits_in
from rolewise.onnx_packages import check_onnx_packages
from rolewise.quant.onnx_graph import exported_graph
from rolewise.quant.program import load_program, save_traced_program

#: Texts as a tokenizer's batch, by name, to outputs [B, K], of tags [B, T, K].
PredictTexts = Callable[[Mapping[str, Tensor]], Tensor]
FORMATS = ("onnx", "torch")
#: Of the example that is traced; neither is 1, which a tracer would take for a fixed number.
_EXAMPLE = (2, 5)


@dataclass(frozen=True)
class TextSubject:
    """A trained network of texts and what is needed to write it.

    Args:
        model: in eval mode, on the CPU.
        facts: facts that each file keeps about itself.
    """

    model: nn.Module
    facts: TextFileFacts


class TokensIn(nn.Module):
    """A network of texts whose inputs come in their order, in the form of its file.

    Args:
        network: takes a tokenizer's batch by keyword.
        form: the form of the file.
    """

    def __init__(self, network: nn.Module, form: TokenForm) -> None:
        super().__init__()
        self.network, self.form = network, form

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """Returns the outputs [B, K] or [B, T, K] of int64 [B, T] inputs."""
        inputs = (input_ids, attention_mask) + (() if token_type_ids is None else (token_type_ids,))
        found = logits_in(call(self.network, dict(zip(self.form.names, inputs, strict=True))))
        found = found if found.ndim > 1 else found[:, None]
        return self.form.activated(found) if self.form.output == "probabilities" else found


def of_text_network(subject: TextSubject) -> PredictTexts:
    """Returns the network itself, in the form of its file."""
    network, names = TokensIn(subject.model, subject.facts.form).eval(), subject.facts.form.names

    @torch.no_grad()
    def run(texts: Mapping[str, Tensor]) -> Tensor:
        found: Tensor = network(*(texts[name] for name in names))
        return found

    return run


def text_file_written(subject: TextSubject, form: str, out: Path, threads: int = 0) -> PredictTexts:
    """Writes a file, and returns it as a function.

    Args:
        subject: the network.
        form: one of `FORMATS`.
        out: the file.
        threads: of ONNX Runtime; 0 for its own choice.

    Raises:
        InputError: the network cannot be exported, or a library is missing.
    """
    facts = subject.facts
    network, names = TokensIn(subject.model, facts.form).cpu().eval().requires_grad_(False), facts.form.names
    ids = torch.ones(_EXAMPLE, dtype=torch.int64)
    padded = ids.tril(2)  # padding in both, so that no tracer takes all tokens for real
    example = (ids, padded, torch.zeros_like(ids))[: len(names)]
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens", max=max(facts.length, _EXAMPLE[1] + 1))
    axes: tuple[dict[int, Any], ...] = tuple({0: batch, 1: tokens} for _ in names)
    if form == "torch":
        save_traced_program(network, out, example, axes, facts.metadata, "use format onnx")
        return _in_order(load_program(out), facts)
    check_onnx_packages()
    import onnx
    import onnx_ir as ir

    proto = ir.to_proto(exported_graph(network, example, names, axes, "use format torch"))
    _rename(proto.graph, facts.form.output)
    onnx.helper.set_model_props(proto, facts.metadata)
    onnx.checker.check_model(proto, full_check=True)
    write_bytes(out, proto.SerializeToString())
    return text_session(session_of(out, threads), facts, out)


def _rename(graph: Any, output: str) -> None:
    """Names a graph's output by what it gives."""
    old = graph.output[0].name
    for node in graph.node:
        node.output[:] = [output if name == old else name for name in node.output]
    graph.output[0].name = output


def text_session(session: Any, facts: TextFileFacts, path: Path) -> PredictTexts:
    """Returns a session of ONNX Runtime as a function.

    Args:
        session: of the file.
        facts: of the file.
        path: the file, for errors.
    """

    def run(texts: Mapping[str, Tensor]) -> Tensor:
        try:
            found = session.run(None, {name: texts[name].numpy() for name in facts.form.names})
        except Exception as error:  # the runtime has classes of its own for every way in which it may fail
            raise InputError(f"{path} must run on {len(texts['input_ids'])} texts, and fails ({error})") from error
        return torch.from_numpy(found[0])

    return run


def text_program(path: Path, facts: TextFileFacts) -> PredictTexts:
    """Returns a torch program as a function.

    Args:
        path: the file.
        facts: of the file.
    """
    return _in_order(load_program(path), facts)


def _in_order(run: Callable[..., Tensor], facts: TextFileFacts) -> PredictTexts:
    return lambda texts: run(*(texts[name] for name in facts.form.names))
