"""Out of the laboratory: a trained network as a file for elsewhere, checked by running it, with a model card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rolewise.data import Source
from rolewise.errors import InputError, near
from rolewise.experiment.evaluation import finished_training
from rolewise.experiment.folder import RunFolder
from rolewise.experiment.graph import Stage
from rolewise.experiment.stages import section_of, trained_network
from rolewise.experiment.world import World, world
from rolewise.files import read_json, write_text
from rolewise.inputs import InputSpec, prepare
from rolewise.quant import load_packed, operations, quantised_layers, save_packed, size_in_bytes
from rolewise.quant.onnx_export import save_onnx

FORMATS = ("onnx", "packed")


@dataclass(frozen=True)
class Exported:
    """A file that was written and tried.

    Args:
        path: the file.
        card: its model card.
        agreement: share of images for which the file and the network predict the same class.
        accuracy: of the file on these images, in [0, 1].
        images: how many.
        part: which images: ``test``, or ``validation`` where the run is not finished and its test set still sealed.
    """

    path: Path
    card: Path
    agreement: float
    accuracy: float
    images: int
    part: str


def export_stage(root: Path, name: str, form: str, out: Path) -> Exported:
    """Exports one trained network of a run and runs the file on the run's own images.

    Args:
        root: the run folder.
        name: the training's stage.
        form: ``onnx`` or ``packed``.
        out: the file; the model card is written beside it, its name with .md behind it.

    Raises:
        InputError: the stage, the format or the network does not go.
    """
    if form not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, got {form!r}{near(form, FORMATS)}")
    run, stage = finished_training(root, name)
    config = run.config()
    here = world(config, stage.seed, torch.device("cpu"))
    section = section_of(config, stage.role)
    spec, model = here.spec(section.model), trained_network(run, here, stage).cpu()
    if form == "packed":
        save_packed(model, out)
        predict = _of_network(load_packed(here.network(section.model, stage.role), out), spec)
    else:
        # Before anything is written: a file that cannot be tried is not exported.
        runtime = _runtime()
        size = (spec.channels, *(spec.size or here.source.size))
        save_onnx(model, out, size=size, mean=spec.mean, std=spec.std)
        predict = _of_onnx(runtime, out, spec)
    source, indices, part = _images(run, here, stage)
    theirs, ours = _classes(predict, source, indices), _classes(_of_network(model, spec), source, indices)
    made = Exported(
        out,
        out.with_name(out.name + ".md"),
        float((theirs == ours).float().mean()),
        float((theirs == source.labels[indices].cpu()).float().mean()),
        len(indices),
        part,
    )
    write_text(made.card, _card(run, here, stage, model, made, form))
    return made


def _images(run: RunFolder, here: World, stage: Stage) -> tuple[Source, Tensor, str]:
    if (run.root / "results.json").is_file():
        opened = here.test.open(f"an export of {stage.name} from a finished run")
        return opened.source, opened.indices, "test"
    return here.source, here.validation, "validation"


def _classes(predict: Callable[[Tensor], Tensor], source: Source, indices: Tensor) -> Tensor:
    return torch.cat([predict(source.batch(part)).argmax(1) for part in torch.split(indices, 256)])


def _of_network(model: nn.Module, spec: InputSpec) -> Callable[[Tensor], Tensor]:
    model.eval()

    @torch.no_grad()
    def predict(images: Tensor) -> Tensor:
        logits: Tensor = model(prepare(images, spec))
        return logits

    return predict


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise InputError(f"format onnx is tried in onnxruntime ({error}); pip install 'rolewise[export]'") from error
    return onnxruntime


def _of_onnx(runtime: Any, path: Path, spec: InputSpec) -> Callable[[Tensor], Tensor]:
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    # The file normalises by itself; channels and size are the caller's.
    plain = InputSpec((0.0,) * spec.channels, (1.0,) * spec.channels, spec.size)
    return lambda images: torch.from_numpy(session.run(None, {"images": prepare(images, plain).numpy()})[0])


def _card(run: RunFolder, here: World, stage: Stage, model: nn.Module, made: Exported, form: str) -> str:
    config, section = run.config(), section_of(run.config(), stage.role)
    spec = here.spec(section.model)
    size = (spec.channels, *(spec.size or here.source.size))
    bits = sorted({f"W{layer.weight_bits} A{layer.activation_bits}" for _, layer in quantised_layers(model)})
    cost = operations(model, size)
    rows = {
        "network": f"{section.model.name} {section.model.arguments or ''}".strip(),
        "layers at few bits": f"{len(list(quantised_layers(model)))} ({', '.join(bits)})" if bits else "none",
        "trained as": f"{stage.name} of the experiment {config.name}",
        "augmentation": stage.augmentation,
        "distilled": f"from {stage.teacher}" if stage.distilled else "no",
        "data": f"{config.data.name}, {here.num_classes} classes",
        "input": "float32 [B, C, H, W] in [0, 1], "
        + ("normalised by the file itself" if form == "onnx" else "to be normalised as below")
        + f"; C, H, W = {', '.join(map(str, size))}",
        "mean, standard deviation": f"{_numbers(spec.mean)}; {_numbers(spec.std)}",
        "file": f"{made.path.name}, {form}, {made.path.stat().st_size:,} bytes",
        "weights at their bits": f"{size_in_bytes(model):,} bytes",
        "multiplications an image": f"{cost.macs:,}; {cost.bit_operations:,} weighted by bits",
        f"accuracy of the file ({made.part} images)": f"{made.accuracy:.2%} of {made.images:,}",
        "predictions equal to the trained network's": f"{made.agreement:.2%}",
        "versions": ", ".join(f"{key} {value}" for key, value in _versions(run).items()),
    }
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return (
        f"# {made.path.stem}\n\n| | |\n|---|---|\n{table}\n\n"
        "One training of one seed: see the run's report for means, intervals and controls.\n"
    )


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _versions(run: RunFolder) -> dict[str, str]:
    path = run.root / "environment.json"
    known = read_json(path, "the run's environment") if path.is_file() else {}
    packages = known.get("packages", {})
    return {key: str(packages[key]) for key in ("rolewise", "torch") if key in packages}
