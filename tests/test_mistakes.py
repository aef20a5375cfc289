"""Mistakes that users make: what each prints names the place (key and line, file, argument) and the remedy."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import nn

import rolewise as rw
from rolewise.cli import main
from rolewise.config import load_experiment_config
from rolewise.experiment.run_folder import open_run

CONFIG = """\
name: tried
seeds: [0]
workers: 1
data: {name: digits, validation: 100, test: 300}
teacher:
  model: {name: small_cnn, arguments: {widths: [4, 4]}}
  images: 100
  train: {epochs: 1, batch_size: 50, optimizer: {name: adam, learning_rate: 0.01}}
students:
- name: small
  model: {name: small_cnn, arguments: {widths: [2, 2]}}
  images: 90
  train: {epochs: 2, batch_size: 45, optimizer: {name: adam, learning_rate: 0.02}}
distill:
  methods: [{name: kd, temperature: 4.0, weight: 0.9}]
  label_weight: 0.1
arms: {teacher: [none], student: [none]}
"""
STUDY = "name: s\nbase: c.yaml\nseeds: [0]\ngrid: {'students[0].images': [20, 40]}\n"
OWN = """
from torch import nn
def maps(num_classes, channels, size): return nn.Conv2d(channels, 4, 3)
def more(num_classes, channels, size): return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes + 1))
def raises(num_classes, channels, size): return [][3]
def nothing(num_classes, channels, size): return None
def mean_loss(student, teacher): return (student - teacher).pow(2).mean()
class Thing: pass
"""
#: What a line of a config becomes -> what is printed, each in order: the place, then the remedy.
IN_CONFIGS: dict[str, tuple[str, str, str, str]] = {
    "a key": ("workers: 1", "wrkers: 1", "c.yaml:3  wrkers", 'did you mean "workers"?'),
    "a key of a method": ("temperature:", "temprature:", "c.yaml:15  distill.methods[0].temprature", '"temperature"?'),
    "a method": ("name: kd", "name: kdd", "c.yaml:15  distill.methods[0].name", 'did you mean "kd"'),
    "a method known elsewhere": ("name: kd,", "name: hint,", "distill.methods[0].name", 'did you mean "fitnets"?'),
    "text for a number": ("weight: 0.9", "weight: much", "distill.methods[0].weight", "must be a number of at least 0"),
    "a negative temperature": ("4.0", "-1", "c.yaml:15  distill.methods[0].temperature", "must be a positive number"),
    "no epochs": ("epochs: 1", "epochs: 0", "c.yaml:8  teacher.train.epochs", "must be at least 1, got 0"),
    "a model": ("name: small_cnn", "name: smal_cnn", "c.yaml:6  teacher.model.name", 'did you mean "small_cnn"?'),
    "a model's argument": ("widths: [2", "width: [2", "students[0].model.arguments.width", 'did you mean "widths"?'),
    "an optimiser": ("name: adam", "name: adamm", "c.yaml:8  teacher.train.optimizer.name", 'did you mean "adam"'),
    "a negative rate": ("0.02", "-0.02", "c.yaml:13  students[0].train.optimizer.learning_rate", "must be above 0"),
    "a data set": ("name: digits", "name: digit", "c.yaml:4  data.name", 'did you mean "digits"'),
    "no test images": (", test: 300", "", "c.yaml:4  data.test", "add test: 497"),
    "too many to validate": ("validation: 100", "validation: 5000", "c.yaml:4  data.validation", "lower it"),
    "too many to train": ("images: 90", "images: 9000", "c.yaml:12  students[0].images", "at most the 1,397 examples"),
    "a preset": ("student: [none]", "student: [randaugmnt]", "c.yaml:17  arms.student[0]", 'mean "randaugment"?'),
    "a preset's argument": ("student: [none]", "student: [{name: randaugment, num_op: 2}]", "num_op", '"num_ops"?'),
    "a schedule's file": ("student: [none]", "student: [no.json]", "c.yaml:17  arms.student[0]", "check the path"),
    "an operation": ("distill:\n", "augment: {ops: [rotat]}\ndistill:\n", "c.yaml:14  augment.ops", '"rotate"?'),
    "seeds twice": ("seeds: [0]", "seeds: [0, 0]", "c.yaml:2  seeds", "each once"),
    "one seed": ("seeds: [0]", "seeds: 3", "c.yaml:2  seeds", "must be a list, got 3"),
    "a bracket": ("workers: 1", "workers: [1", "c.yaml:4", "mend this line or the one before it"),
    "a tab": ("workers: 1", "workers: 1\n\tthreads: 1", "c.yaml:4", "mend this line or the one before it"),
    "a key twice": ("workers: 1", "workers: 1\nworkers: 2", "c.yaml:4  workers", "remove one of the two"),
    "no students": ("students:\n- name: small", "pupils:\n- name: small", "students", "must be given; add it"),
    "a device": ("workers: 1", "device: gpu", "c.yaml:3  device", "must be auto, cpu, cuda, mps or xpu"),
    "a task": ("workers: 1", "task: clasification", "c.yaml:3  task", 'did you mean "classification"?'),
    "a metric": ("workers: 1", "metrics: [f1_macr]", "c.yaml:3  metrics[0]", 'did you mean "f1_macro" or "f1_micro"?'),
    "a primary metric": ("workers: 1", "primary: auroc", "c.yaml:3  primary", "known: accuracy, loss"),
    "a tracker": ("workers: 1", "track: [tensorbord]", "c.yaml:3  track[0]", 'did you mean "tensorboard"?'),
    "a method twice": (
        "[{name: kd, temperature: 4.0, weight: 0.9}]",
        "[{name: kd}, {name: kd}]",
        "c.yaml:15  distill.methods[1]",
        "remove one, or write method: kd and a name of its own",
    ),
    "no method": ("[{name: kd, temperature: 4.0, weight: 0.9}]", "[]", "distill.methods", "or set arms.distill"),
    "a quantiser": ("  images: 90", "  images: 90\n  quantise: {quantiser: lsqq}", "quantise.quantiser", '"lsq"?'),
    "too many bits": (
        "  images: 90",
        "  images: 90\n  quantise: {weights: 9}",
        "students[0].quantise.weights",
        "most 8",
    ),
    "a map of classes": ("  images: 100", "  label_map: [0]", "c.yaml:7   teacher.label_map", "or leave the map out"),
    "a beginning": (
        "  images: 90",
        "  images: 90\n  init: teachr",
        "c.yaml:13  students[0].init",
        '"teacher" or a file',
    ),
    "a group": (
        "batch_size: 45",
        'groups: [{match: "nope.*", learning_rate: 0.1}], batch_size: 45',
        "students[0].train.groups[0].match",
        "known: fc, fc.bias",
    ),
    "a searched number": (
        "distill:\n",
        "search: {scalars: {temprature: {low: 1, high: 4}}}\ndistill:\n",
        "c.yaml:14  search.scalars.temprature",
        'did you mean "temperature"?',
    ),
    "one member": ("distill:\n", "search: {members: 1}\ndistill:\n", "c.yaml:14  search.members", "must be at least 2"),
    "an absent base": ("name: tried", "extends: no.yaml\nname: tried", "c.yaml:1  extends", "check the path"),
    "an absent module": ("name: small_cnn", 'name: "my_nets:net"', "c.yaml:6  teacher.model.name", "put my_nets.py"),
    "an absent name": (
        "name: small_cnn",
        'name: "own:rases"',
        "c.yaml:6  teacher.model.name",
        'did you mean "raises"?',
    ),
    "a module with a slip": ("name: small_cnn", 'name: "slip:net"', "(slip.py, line 1)", "mend it there"),
    "a network that raises": (
        "{name: small_cnn, arguments: {widths: [4, 4]}}",
        '"own:raises"',
        "(own.py, line 5)",
        "mend it there",
    ),
    "no network": (
        "{name: small_cnn, arguments: {widths: [4, 4]}}",
        '"own:nothing"',
        "teacher.model",
        "return the network",
    ),
    "maps for logits": ("{name: small_cnn, arguments: {widths: [4, 4]}}", '"own:maps"', "teacher.model", "num_classes"),
    "a class too many": ("{name: small_cnn, arguments: {widths: [4, 4]}}", '"own:more"', "[B, 11]", "num_classes"),
    "a class for a loss": (
        "name: kd, temperature: 4.0",
        'name: "own:Thing"',
        "distill.methods[0]",
        "write it as loss(s",
    ),
    "a mean loss": ("name: kd, temperature: 4.0", 'name: "own:mean_loss"', "distill.methods[0]", "none over the batch"),
    "a function for an operation": (
        "distill:\n",
        'augment: {ops: ["own:Thing"]}\ndistill:\n',
        "augment.ops[0]",
        "give it",
    ),
    "no file of weights": ("  images: 100", "  weights: no.pt", "c.yaml:7  teacher.weights", "check the path"),
    "a folder of weights": ("  images: 100", "  weights: full", "c.yaml:7  teacher.weights", "check the path"),
    "text for weights": ("  images: 100", "  weights: own.py", "c.yaml:7  teacher.weights", "save it anew"),
    "a pickled network": ("  images: 100", "  weights: whole.pt", "c.yaml:7  teacher.weights", "convert it once:"),
    "another network's": ("  images: 100", "  weights: other.pt", "c.yaml:7  teacher.weights", "or other weights"),
    "no weights in it": (
        "  images: 100",
        "  weights: empty.pt",
        "c.yaml:7  teacher.weights",
        "save the network's state",
    ),
    "one class of images": (
        "digits, validation: 100",
        "image_folder, root: one, validation: 2",
        "one/train must hold one folder for each of at least two classes, got a",
        "put the images of each class into a folder",
    ),
    "a faulty image": (
        "digits, validation: 100",
        "image_folder, root: faulty, validation: 2",
        "faulty/train/a/0.png cannot be read as an image",
        "set data.arguments.faulty to skip",
    ),
    "an empty folder of images": (
        "digits, validation: 100",
        "image_folder, root: empty, validation: 2",
        "c.yaml:4  data: empty must hold one folder for each of at least two classes, got none",
        "put the images of each class into a folder",
    ),
    "a folder whose name is no ASCII": (
        "digits, validation: 100",
        "image_folder, root: табло, validation: 2",
        "c.yaml:4  data: табло must hold one folder",
        "put the images of each class into a folder",
    ),
    "a file for the data's folder": (
        "digits, validation: 100",
        "npz, root: notes.txt, validation: 2",
        "c.yaml:4  data.root: must be a folder, got the file notes.txt",
        "set it to the folder that holds the file",
    ),
    "no number of classes": ("digits, validation", "digits, classes: 5, validation", "data.classes", "known: arg"),
    "masks of classes": ("workers: 1", "task: segmentation", "c.yaml:3  task", "write task: classification, or set"),
    "a schedule's name alone": (
        "batch_size: 45",
        "batch_size: 45, schedule: cosine",
        "c.yaml:13  students[0].train.schedule",
        "write schedule: {name: cosine}",
    ),
    "bits for a section": (
        "  images: 90",
        "  images: 90\n  quantise: 8",
        "c.yaml:13  students[0].quantise: must be a mapping of settings, got 8",
        "its settings: weights, activations",
    ),
    "a share above one": ("  images: 90", "  images: 90\n  mix: {share: 2}", "students[0].mix.share", "change it"),
    "an American spelling": (
        "- name: small",
        "- name: small\n  quantize: {weights: 8}",
        "students[0].quantize",
        '"quantise"?',
    ),
    "a layer to keep": (
        "  images: 90",
        "  images: 90\n  quantise: {weights: 2, keep: [nope]}",
        "c.yaml:13  students[0].quantise.keep",
        "known: fc, stages.0.0",
    ),
    "a precision": (
        "batch_size: 45",
        "batch_size: 45, precision: bf16",
        "c.yaml:13  students[0].train.precision",
        "must be 'float32', 'bfloat16'",
    ),
    "one augmentation": ("student: [none]", "student: none", "c.yaml:17  arms.student", "write [none]"),
    "a switch for a list": ("student: [none]", "student: [none], distill: yes", "arms.distill", "write [true]"),
    "a method as a key": (
        "{name: kd, temperature: 4.0, weight: 0.9}",
        "kd: {temperature: 4.0}",
        "c.yaml:15  distill.methods[0]",
        "write {name: kd}, its settings beside the name",
    ),
    "a preset as a key": (
        "student: [none]",
        "student: [{randaugment: {num_ops: 1}}]",
        "c.yaml:17  arms.student[0]",
        "write {name: randaugment}, its settings beside the name",
    ),
    "a tap of no layer": (
        "name: kd, temperature: 4.0",
        "name: attention, student_taps: layer9, teacher_taps: layer9",
        "c.yaml:15  distill.methods[0].student_taps",
        "its taps are stage1, stage2",
    ),
    "a teacher of a student": (
        "  images: 90",
        "  images: 90\n  teachers: [big]",
        "c.yaml:13  students[0].teachers[0]",
        "known: teacher",
    ),
    "a view": ("distill:\n", "distill:\n  view: owns\n", "c.yaml:15  distill.view", 'did you mean "own"?'),
    "a reader's argument": (
        "digits, validation: 100, test: 300",
        "image_folder, root: one, validation: 2, arguments: {sise: 8}",
        "c.yaml:4  data.arguments.sise",
        'did you mean "size"?',
    ),
}
#: Content of s.yaml -> the same.
IN_STUDIES: dict[str, tuple[str, str, str]] = {
    "an axis": (STUDY.replace("students[0].images", "distill.view2"), "s.yaml:4  distill.view2", 'mean "view"?'),
    "a level": (STUDY.replace("[20, 40]", "[20, 0]"), "s.yaml:4  students[0].images", "must be at least 1, got 0"),
    "no grid": (STUDY.replace("grid:", "grd:"), "s.yaml:4  grd: no such setting", 'did you mean "grid"?'),
    "a base": (STUDY.replace("c.yaml", "no.yaml"), "s.yaml:2  base", "check the path"),
    "a measurement": (STUDY + "measure: [calibraton]\n", "s.yaml:5  measure[0]", 'did you mean "calibration"?'),
    "a question": (STUDY + "questions: [{asks: x}]\n", "s.yaml:5  questions[0].asks", 'did you mean "ask"?'),
    "seeds in set": (STUDY + "set: {seeds: [1]}\n", "s.yaml:5  set.seeds", "give seeds at the top of the study"),
}
#: A command line -> the same, and its exit code where it is not 2.
COMMANDS: dict[str, tuple[list[str], str, str]] = {
    "a command": (["rnu", "c.yaml"], "No such command 'rnu'", "Did you mean 'run'?"),
    "no place": (["run", "c.yaml"], "Missing option '--out'", "run --help"),
    "a setting as an option": (["run", "c.yaml", "--out", "r", "--workers", "3"], "--workers", "--set workers=3"),
    "no file": (["validate", "no.yaml"], "no.yaml:1", "check the path"),
    "a folder for a file": (["validate", "."], "must be a regular file, got a folder", "did you mean c.yaml or"),
    "no UTF-8": (["validate", "latin.yaml"], "latin.yaml:1", "save it as UTF-8"),
    "a study for a run": (["run", "study.yaml", "--out", "r"], "study.yaml must be an experiment", "rolewise study st"),
    "a run for a study": (["study", "c.yaml", "--out", "r"], "c.yaml must be a study", "rolewise run c.yaml"),
    "a set path": (["validate", "c.yaml", "--set", "teacher.trian.epochs=3"], "teacher.trian", 'did you mean "train"?'),
    "a set form": (["validate", "c.yaml", "--set", "workers"], "--set workers", "must read path.to.key=value"),
    "a set place": (["validate", "c.yaml", "--set", "students[3].images=3"], "students[3]", "set the whole list"),
    "a foreign folder": (
        ["run", "c.yaml", "--out", "full"],
        "--out must name a new folder or a run's, got full",
        "choose",
    ),
    "a file for a folder": (
        ["run", "c.yaml", "--out", "own.py"],
        "own.py: Not a directory",
        "give a place that can be",
    ),
    "no GPU": (["run", "c.yaml", "--out", "r", "--set", "device=xpu:77"], "got 'xpu:77'", "--set device=auto"),
    "a kind": (["list", "method"], "list must be of models", 'did you mean "methods"?'),
    "no run": (["report", "no"], "no is no run folder", "rolewise run CONFIG --out no"),
    "no run to evaluate": (["evaluate", "no", "seed0/x"], "no is no run folder", "rolewise run CONFIG --out no"),
    "a stage": (["evaluate", "made", "seed0/small-non"], "no stage is called 'seed0/small-non'", "seed0/small-none"),
    "a stage to export": (["export", "made", "seed0/smal", "--out", "x"], "called 'seed0/smal'", "seed0/small-none"),
    "no training": (
        ["evaluate", "made", "seed0/test"],
        "stage must be a training, got 'seed0/test'",
        "seed0/teacher-none",
    ),
    "an arm": (["run", "c.yaml", "--out", "r", "--arm", "non"], "--arm must name an arm, got 'non'", '"none"'),
    "a template": (["new", "x", "--template", "photo"], "photo", '"photos"'),
    "a format": (["table", "made", "--format", "latx"], "latx", '"latex"'),
    "no run to compare": (["compare-runs", "made", "no"], "no is no", "rolewise run"),
    "no run to predict by": (["predict", "no", "one"], "no", "run folder"),
    "no pictures": (["predict", "made", "nowhere"], "nowhere", "check"),
    "no run to ask about": (["status", "no"], "no must be the folder of a run or a study", "check the path"),
    "a key to explain": (["explain", "search.membrs"], "'search.membrs'", 'did you mean "search.members"'),
    "another config": (["run", "c.yaml", "--out", "worked", "--set", "seeds=[1]"], "seeds[0]: 0 -> 1", "--fresh"),
    "a role": (
        ["search", "c.yaml", "--out", "r", "--role", "smal"],
        "--role must be one of teacher, small",
        '"small"?',
    ),
    "a role that searches nothing": (
        ["search", "c.yaml", "--out", "r", "--role", "small"],
        "'small' has none",
        'add "own"',
    ),
    "a student": (
        ["distill", "c.yaml", "--out", "r", "--student", "smal"],
        "--student must be one of small",
        '"small"?',
    ),
    "a preset": (["preview", "randaugmnt"], "randaugmnt", 'did you mean "randaugment"?'),
    "no PNG": (["preview", "none", "--out", "x.mp4"], "--out must end in .png", "rename it"),
    "no teacher to advise": (["advise", "c.yaml", "--out", "r"], "a trained teacher must be given", "--teacher FILE"),
    "no advice": (["regret", "made"], "Missing option '--advice'", "regret --help"),
    "weights for a config": (["validate", "whole.pt"], "whole.pt:1  the file: must be UTF-8", "give a config, a file"),
    "a folder of configs": (["validate", "configs"], "got 'configs'", "did you mean configs/c.yaml?"),
    "pictures for a config": (
        ["data", "look", "one"],
        "one must be a config, got a folder",
        "new DIR --template photos",
    ),
    "no pictures to pack": (["data", "pack", "empty", "out"], "empty must hold one folder", "put the images of each"),
    "a part to pack that is not there": (
        ["data", "pack", "full", "out", "--test", "gone"],
        "full/gone is missing",
        "check the path",
    ),
    "a column of a folder to pack": (
        ["data", "pack", "full", "out", "--label", "kind"],
        "--label must be left out but for a list, which full is not, got 'kind'",
        "left out",
    ),
    "a pack within what is packed": (
        ["data", "pack", "full", "full/out"],
        "the packed data set must lie beside full, got full/out in it",
        "choose another place",
    ),
    "a column to pack that is not there": (
        ["data", "pack", "list.csv", "out", "--root", "."],
        'must have "image", got path, label',
        "set --image to the name that is there",
    ),
    "a file for a run": (
        ["report", "own.py"],
        "own.py is no run folder (it is a file)",
        "give the folder that rolewise",
    ),
    "another folder for a run": (
        ["table", "full"],
        "full is no run folder (it has no run.json)",
        "give the folder that",
    ),
    "a study for a run's folder": (["evaluate", "studied", "seed0/x"], "it is a study's", "studied/cells/NAME"),
    "a file to watch": (["watch", "own.py"], "got the file own.py", "give the one that --out named"),
    "a damaged record": (["report", "damaged"], "damaged/run.json is not valid JSON", "put it back, or start anew"),
    "a run without training": (
        ["predict", "made", "one"],
        "is not finished",
        "rolewise run made/config.yaml --out made",
    ),
    "a format to export": (["export", "made", "--format", "onxx", "--out", "x"], "got 'onxx'", 'did you mean "onnx"?'),
    "a method to compare": (["compare", "--methods", "kdd", "--data", "digits", "--out", "r"], "'kdd'", 'mean "kd"'),
    "a recipe": (["compare", "--methods", "kd", "--data", "digts", "--out", "r"], "got 'digts'", 'mean "digits"?'),
    "a lone network": (
        ["compare", "--methods", "kd", "--data", "digits", "--pair", "resnet20", "--out", "r"],
        "--pair must be two networks",
        "such as resnet56:resnet20",
    ),
    "a system": (["system", "fedgn", "--out", "r"], "no system is called 'fedgn'", 'did you mean "fedgen"?'),
    "a system's setting": (
        ["system", "fedgen", "--out", "r", "--set", "seds=[0]"],
        'the setting seds: no such setting of "fedgen"',
        'did you mean "seeds"?',
    ),
    "another tool's config": (["convert", "torchdistil", "c.yaml"], "got 'torchdistil'", 'mean "torchdistill"?'),
    "a place that takes nothing": (["run", "c.yaml", "--out", "/proc/x"], "/proc/x", "give a place that can be read"),
    "no tracker": (["track", "made", "--with", "csvs"], "--with csvs", 'did you mean "csv"?'),
}


class Net(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(144, classes)

    def forward(self, images: torch.Tensor) -> Any:
        return self.fc(self.conv(images).relu().flatten(1))


IMAGES, LABELS = torch.zeros(4, 1, 8, 8), torch.arange(4)


def distilled(
    labels: Any = LABELS, images: Any = IMAGES, teacher: Any = None, methods: Any = ("kd",), **more: Any
) -> Any:
    return rw.Distiller(teacher or Net(), Net(), list(methods), **more)(images, labels)


def schedule(**change: Any) -> rw.Schedule:
    policy: dict[str, Any] = {
        "kind": "policy",
        "triples": [["rotate", 0.5, 0.5]],
        "counts": [0.2, 0.3, 0.5],
        "magnitude": "fixed",
    }
    policy |= {"scale": "rolewise", "ranges": {}, "base": []}
    segment = {"start": 0.0, "augmentation": {**policy, **change}}
    return rw.Schedule.from_json({"kind": "schedule", "version": 1, "name": "a", "segments": [segment]})


def same_network() -> Any:
    network = Net()
    return rw.Distiller(network, network, ["kd"])


def one_class() -> Any:
    source = {"examples": 4, "labels": torch.zeros(4, dtype=torch.int64)}
    return rw.Distiller(Net(), Net(), [rw.crd(student_taps="conv", teacher_taps="conv")], example=IMAGES, **source)


#: A call -> the argument, and the remedy.
CALLS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "one network": (same_network, "teacher and student must not share weights", "give copy.deepcopy(student)"),
    "a method not called": (
        lambda: distilled(methods=[rw.kd]),
        "methods must be a list of methods",
        "methods=[rw.kd()]",
    ),
    "a method": (lambda: distilled(methods=["kdd"]), "no method is called 'kdd'", 'did you mean "kd"'),
    "an argument": (
        lambda: rw.kd(temprature=3),  # type: ignore[call-arg]
        "no such setting of \"kd\": 'temprature'",
        'mean "temperature"?',
    ),
    "a temperature": (lambda: rw.kd(temperature=0), '"kd": temperature', "must be a positive number, got 0"),
    "a weight": (lambda: rw.kd(weight=-1), "weight", "must be a number of at least 0, got -1"),
    "methods twice": (lambda: distilled(methods=[rw.kd(), rw.kd()]), '"kd" is listed twice', 'rw.kd(name="kd_2")'),
    "no example": (
        lambda: distilled(methods=["crd"]),
        'example must be a few inputs, by which "crd"',
        "example=images[",
    ),
    "crd without classes": (one_class, "labels must be of at least two classes for neg", "negatives_from: all"),
    "no taps": (
        lambda: distilled(methods=["attention"]),
        '"attention" must read taps of both',
        "give student_taps and",
    ),
    "float labels": (lambda: distilled(torch.rand(4)), "labels must be int64 [B]", "labels.long()"),
    "short labels": (lambda: distilled(LABELS[:3]), "labels must be int64 [B]", "one for each of the 4 images"),
    "one-hot labels": (lambda: distilled(torch.eye(10)[:4].long()), "labels must be int64 [B]", "labels.argmax(1)"),
    "several labels": (lambda: distilled(torch.ones(4, 10)), "soft labels must add up to 1", "the task multi_label"),
    "a label": (lambda: distilled(LABELS + 9), "labels must be from 0 to 9", "number them so, or give"),
    "no labels": (lambda: distilled(None), "labels", "label_weight=0"),
    "text for labels": (lambda: distilled("cat"), "labels must be a tensor", "torch.as_tensor(labels)"),
    "another number of classes": (
        lambda: distilled(teacher=Net(7)),
        "[4, 10] and [4, 7]",
        "give both networks the same",
    ),
    "a function for a network": (
        lambda: distilled(teacher=lambda x: x),
        "teacher must be a torch.nn.Module",
        "make or load",
    ),
    "a tap": (lambda: rw.tap(Net(), ["layer9"]).__enter__(), "no tap 'layer9'", "known: conv, fc"),
    "a role": (
        lambda: rw.Distiller({"big": Net()}, Net(), [rw.kd(teacher="bg")]),
        '"kd": teacher',
        'did you mean "big"?',
    ),
    "a config's path": (lambda: rw.run("c.yaml", "r"), "config must be an ExperimentConfig", "rolewise.load(path)"),
    "a network for a training": (lambda: rw.fit(Net(), "r"), "trainee must be a rolewise.Trainee", "make one"),
    "float images": (lambda: rw.apply(IMAGES, None), "images must be uint8", "augmentation comes before normalisation"),
    "a policy's operation": (lambda: schedule(triples=[["rotat", 0.5, 0.5]]), "rotat", 'did you mean "rotate"?'),
    "a policy's probability": (
        lambda: schedule(triples=[["rotate", 5, 0.5]]),
        "probability",
        "must be between 0 and 1, got 5",
    ),
    "no schedule": (lambda: rw.Schedule.load("no.json"), "schedule no.json", "check the path"),
    "a schedule's kind": (
        lambda: rw.Schedule.load("other.json"),
        "other.json must be",
        'a mapping with kind "schedule"',
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's folder: a config, code, weights, images and a run that has not begun."""
    root = tmp_path_factory.mktemp("user")
    (root / "own.py").write_text(OWN)
    (root / "slip.py").write_text("def net(:\n")
    (root / "c.yaml").write_text(CONFIG)
    (root / "study.yaml").write_text(STUDY)
    (root / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    (root / "other.json").write_text(json.dumps({"kind": "policy"}))
    (root / "notes.txt").write_text("notes")
    (root / "list.csv").write_text("path,label\none.png,cat\n")
    for name in ("empty", "табло", "full", "configs", "studied", "damaged"):
        (root / name).mkdir()
    (root / "configs/c.yaml").write_text(CONFIG)
    (root / "studied/study.json").write_text("{}")
    (root / "damaged/run.json").write_text('{"version": [')
    (root / "full/notes.txt").write_text("notes")
    torch.save(nn.Linear(2, 2), root / "whole.pt")
    torch.save({"conv1.weight": torch.zeros(3, 3)}, root / "other.pt")
    torch.save({}, root / "empty.pt")
    parts = ("one/train/a", "faulty/train/a", "faulty/train/b", "free/unlabelled", "free/test/a", "free/test/b")
    for at, part in enumerate(parts):
        (root / part).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8), (60 * number, 20 * at, 0)).save(root / part / f"{number}.png")
    (root / "faulty/train/a/0.png").write_bytes(b"no image")
    open_run(root / "made", load_experiment_config(root / "c.yaml"))
    open_run(root / "worked", load_experiment_config(root / "c.yaml"))
    (root / "worked/stages/seed0/teacher-none").mkdir(parents=True)
    (root / "worked/stages/seed0/teacher-none/record.jsonl").write_text("{}\n")
    return root


@pytest.fixture(autouse=True)
def beginning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    for name in ("own", "slip"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def said(place: str, remedy: str, text: str) -> None:
    assert "Traceback" not in text
    flat = " ".join(text.split())
    assert " ".join(place.split()) in flat, text
    assert remedy in flat, text
    assert len(text) < 2000, "nobody reads so much"


def printed(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["rolewise", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("mistake", IN_CONFIGS)
def test_a_mistake_in_a_config(
    mistake: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    old, new, place, remedy = IN_CONFIGS[mistake]
    assert old in CONFIG
    (folder / "mistaken").mkdir(exist_ok=True)
    (folder / "mistaken/c.yaml").write_text(CONFIG.replace(old, new, 1))
    said(place, remedy, printed(["validate", "mistaken/c.yaml"], monkeypatch, capsys))


@pytest.mark.parametrize("mistake", IN_STUDIES)
def test_a_mistake_in_a_study(
    mistake: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    text, place, remedy = IN_STUDIES[mistake]
    (folder / "s.yaml").write_text(text)
    said(place, remedy, printed(["validate", "s.yaml"], monkeypatch, capsys))


@pytest.mark.parametrize("mistake", COMMANDS)
def test_a_mistaken_command(mistake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    arguments, place, remedy = COMMANDS[mistake]
    said(place, remedy, printed(arguments, monkeypatch, capsys))


@pytest.mark.parametrize("mistake", CALLS)
def test_a_mistaken_call(mistake: str):
    call, place, remedy = CALLS[mistake]
    with pytest.raises(rw.InputError) as error:
        call()
    said(place, remedy, str(error.value))


def test_the_table_has_the_mistakes_of_every_kind():
    assert len(IN_CONFIGS) + len(IN_STUDIES) + len(COMMANDS) + len(CALLS) >= 130
