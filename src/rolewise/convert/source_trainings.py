"""Optimisers and schedules of a torchdistill config."""

from __future__ import annotations

from typing import Any

from rolewise.convert.converted_config import Conversion, mapping, number, whole

#: The setting of a scheduler that holds how long it runs.
_LENGTHS = {"CosineAnnealingLR": "T_max", "poly_lr_scheduler": "num_epochs"}
_OPTIMIZER = {"lr", "momentum", "weight_decay", "nesterov", "betas", "optimizer_key"}


def training_of(stage: dict[str, Any], epochs: int, found: Conversion) -> dict[str, Any]:
    """Returns the section of a training.

    Args:
        stage: the part of the source's ``train`` that holds it.
        epochs: of the whole training.
        found: takes up what is lost.
    """
    loader = mapping(mapping(stage.get("train_data_loader")).get("kwargs"))
    section = mapping(stage.get("optimizer"))
    training: dict[str, Any] = {"epochs": epochs, "batch_size": whole(loader.get("batch_size"), 1)}
    training["optimizer"] = _optimizer(section, found)
    if whole(section.get("grad_accum_step"), 1) > 1:
        training["accumulate"] = whole(section["grad_accum_step"], 1)
    if section.get("max_grad_norm"):
        training["clip_norm"] = number(section["max_grad_norm"], 1.0)
    training["schedule"] = schedule_of(mapping(stage.get("scheduler")), epochs, found, training["optimizer"])
    if groups := _groups(section, found):
        training["groups"] = groups
    if loader.get("drop_last"):
        found.differ("drop_last: the last, smaller batch of an epoch is trained on here")
    if mapping(stage.get("train_data_loader")).get("batch_sampler"):
        found.lose("batch_sampler: batches are drawn at random, each image once in an epoch")
    return training


def _optimizer(section: dict[str, Any], found: Conversion) -> dict[str, Any]:
    given, key = mapping(section.get("kwargs")), str(section.get("key"))
    if key == "optimizer_no_decay":
        key = str(given.get("optimizer_key", "AdamW"))
        if number(given.get("weight_decay"), 0.0):
            found.lose("optimizer_no_decay: biases and norms have the weight decay of the rest; add groups for them")
    for name in given:
        if name not in _OPTIMIZER:
            found.lose(f"optimizer.kwargs.{name}")
    rate = number(given.get("lr"), 0.001)
    if key == "SGD":
        momentum = number(given.get("momentum"), 0.0)
        decay = number(given.get("weight_decay"), 0.0)
        nesterov = bool(given.get("nesterov", False))
        values = {"learning_rate": rate, "momentum": momentum, "nesterov": nesterov, "weight_decay": decay}
        return {"name": "sgd", **values}
    if key in ("Adam", "AdamW"):
        decay = number(given.get("weight_decay"), 0.01 if key == "AdamW" else 0.0)
        made: dict[str, Any] = {"name": key.lower(), "learning_rate": rate, "weight_decay": decay}
        return {**made, "betas": list(given["betas"])} if isinstance(given.get("betas"), list) else made
    found.refuse(f"optimizer: {key} has no counterpart; sgd, adam and adamw are there")
    return {"name": "sgd", "learning_rate": rate}


def _groups(section: dict[str, Any], found: Conversion) -> list[dict[str, Any]]:
    """Returns the parts with a rate of their own; those without anything of their own are the rest."""
    groups = []
    entries = section.get("module_wise_configs")
    for entry in entries if isinstance(entries, list) else ():
        given = mapping(entry.get("kwargs"))
        made: dict[str, Any] = {"match": str(entry.get("module"))}
        made |= {"learning_rate": number(given["lr"], 0.001)} if "lr" in given else {}
        made |= {"weight_decay": number(given["weight_decay"], 0.0)} if "weight_decay" in given else {}
        if "aux" in made["match"]:
            found.lose(f"module_wise_configs: {made['match']}, a part of an output that is not built here")
        elif len(made) > 1:
            groups.append(made)
    return groups


def schedule_of(section: dict[str, Any], epochs: int, found: Conversion, optimizer: dict[str, Any]) -> dict[str, Any]:
    """Returns the course of the learning rate.

    Args:
        section: the source's ``scheduler``.
        epochs: of the training, or of the phase, that it is for.
        found: takes up what is lost.
        optimizer: the optimiser's section, with the rate that the course begins at.
    """
    key, given = section.get("key"), mapping(section.get("kwargs"))
    if key is None:
        return {"name": "constant"}
    length = whole(given.get(_LENGTHS.get(key, "")), epochs)
    if length != epochs:
        found.differ(
            f"scheduler: {key} has {_LENGTHS[key]} {length} in {epochs} epochs; here its course ends with the training"
        )
    gamma = number(given.get("gamma"), 0.1)
    if key == "MultiStepLR":
        # One that is never reached is not asked for.
        reached = [f"{whole(one, 0)} epochs" for one in given.get("milestones", []) if 0 < whole(one, 0) < epochs]
        return {"name": "multistep", "milestones": reached, "gamma": gamma} if reached else {"name": "constant"}
    if key == "StepLR":
        size = max(1, whole(given.get("step_size"), epochs))
        reached = [f"{at} epochs" for at in range(size, epochs, size)]
        return {"name": "multistep", "milestones": reached, "gamma": gamma} if reached else {"name": "constant"}
    if key == "poly_lr_scheduler":
        return {"name": "poly", "power": number(given.get("power"), 0.9)}
    if key == "get_linear_schedule_with_warmup":
        warm = whole(given.get("num_warmup_steps"), 0)
        return {"name": "linear", **({"warmup": f"{warm} steps"} if warm else {})}
    if key == "CosineAnnealingLR":
        final = number(given.get("eta_min"), 0.0) / (optimizer["learning_rate"] or 1.0)
        return {"name": "cosine", **({"final": round(final, 10)} if final else {})}
    found.refuse(
        f"scheduler: {key} has no counterpart; constant, multistep, cosine, linear, poly and onecycle are there"
    )
    return {"name": "constant"}
