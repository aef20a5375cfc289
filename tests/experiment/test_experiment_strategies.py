"""Ways of searching a schedule: the same budget, other beginnings; screened without training a student."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import Tensor, nn

from rolewise.augment import RandomOps, Schedule
from rolewise.config import ConfigError
from rolewise.errors import InputError
from rolewise.experiment import load, policy_screen, run
from rolewise.experiment.builders import preset
from rolewise.experiment.policy_screen import screened
from rolewise.experiment.run_folder import RunFolder
from rolewise.experiment.stage_graph import stages_of
from rolewise.experiment.strategies import augmentation_of, grid
from rolewise.seals import write_sealed
from rolewise.search.lineage_file import load_lineage

pytestmark = pytest.mark.usefixtures("figures_unrendered")

QUICK = Path(__file__).parent / "quick.yaml"
ARMS = "arms.student=[none, own, random_search, grid_search, screen, screened_search]"
SMALL = [
    "arms.teacher=[none]",
    "arms.distill=[true]",
    "seeds=[0]",
    "search.screen.candidates=6",
    "search.screen.images=64",
    "name=ways",
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "ways"
    run(load(QUICK, [ARMS, *SMALL]), folder)
    return folder


def test_every_way_that_trains_costs_the_same(finished: Path) -> None:
    costs = json.loads((finished / "results.json").read_text())["costs"]
    own = costs["seed0/small-search"]
    assert own > 0
    assert [costs[f"seed0/small-{way}-search"] for way in ("random", "grid", "screened")] == [own] * 3
    assert costs["seed0/small-screen-search"] == 0


def test_random_and_grid_search_copy_nobody_and_stay_constant(finished: Path) -> None:
    config = load(QUICK, SMALL)
    for way in ("random", "grid"):
        found = load_lineage(finished / f"stages/seed0/small-{way}-search/lineage.json")
        assert found.events == () and found.quantile == 0
        schedule = Schedule.load(finished / f"stages/seed0/small-{way}-search/schedule.json")
        assert len(schedule.segments) == 1
        assert schedule.at(0.0) == augmentation_of(config, found.initial[found.best])
    assert isinstance(schedule.at(0.0), RandomOps)


def test_presets_end_with_the_base_of_the_learned_policies() -> None:
    config = load(QUICK, ["augment.base=[crop, flip]"])
    assert (
        preset(config, "randaugment").at(0.0).base == preset(config, "trivialaugment").at(0.0).base == ("crop", "flip")
    )
    assert preset(config, {"name": "randaugment", "base": []}).at(0.0).base == ()
    assert preset(config, "none").at(0.0).base == ()
    # Without one, presets that were published with one keep theirs.
    assert preset(load(QUICK), "autoaugment").at(0.0).base == ("crop", "flip")


def test_the_screen_puts_the_lowest_deviation_first(finished: Path) -> None:
    folder = finished / "stages/seed0"
    entries = json.loads((folder / "small-screen-search/screen.json").read_text())["candidates"]
    assert len(entries) == 6 and len({entry["deviation"] for entry in entries}) == 6
    ranked = sorted(entries, key=lambda entry: entry["deviation"])
    chosen = Schedule.load(folder / "small-screen-search/schedule.json").at(0.0)
    assert chosen == augmentation_of(load(QUICK, SMALL), ranked[0]["genome"])
    begun = load_lineage(folder / "small-screened-search/lineage.json").initial
    assert list(begun) == [entry["genome"] for entry in ranked[: len(begun)]]


def test_a_teacher_that_returns_a_mapping_is_screened_alike(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mapped(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: Tensor) -> dict[str, Tensor]:
            return {"logits": self.network(images)}

    stage = next(stage for stage in stages_of(load(QUICK, [ARMS, *SMALL])) if stage.strategy == "screen")
    plain = policy_screen._screen(RunFolder(finished), stage)
    trained = policy_screen.trained_network
    monkeypatch.setattr(policy_screen, "trained_network", lambda *given: Mapped(trained(*given)))
    assert policy_screen._screen(RunFolder(finished), stage) == plain


def test_a_damaged_screen_is_named(finished: Path) -> None:
    stage = next(stage for stage in stages_of(load(QUICK, [ARMS, *SMALL])) if stage.strategy == "screen")
    path = finished / "stages/seed0/small-screen-search/screen.json"
    kept = path.read_text()
    path.write_text('[{"genome": 3}]')
    with pytest.raises(InputError, match=r"screen\.json is damaged.*delete it to screen anew"):
        screened(RunFolder(finished), stage)
    write_sealed(path, {"candidates": [{"genome": 3}]})
    with pytest.raises(InputError, match=r"screen\.json must list genomes"):
        screened(RunFolder(finished), stage)
    path.write_text(kept)


@pytest.mark.parametrize("members", [1, 2, 4, 5, 8, 16])
def test_the_grid_has_a_cell_for_each_member(members: int) -> None:
    cells = grid(members)
    assert len(cells) == members == len({tuple(sorted(cell.items())) for cell in cells})
    assert all(cell["num_ops"] in (1, 2, 3) for cell in cells)
    assert all(isinstance(cell["strength"], float) and 0 < cell["strength"] < 1 for cell in cells)


def test_a_student_searches_anew_under_each_teacher() -> None:
    config = load(QUICK, ["arms.teacher=[own, none]", "arms.student=[none, own]", "seeds=[0]"])
    stages = {stage.name: stage for stage in stages_of(config)}
    assert stages["seed0/small-search"].teacher == "seed0/teacher-own"
    assert stages["seed0/small@none-search"].teacher == "seed0/teacher-none"
    assert stages["seed0/small-own+distill@none"].schedule == "seed0/small@none-search"
    assert stages["seed0/small-own"].schedule == "seed0/small-search"


def test_an_unknown_arm_is_refused_with_the_names_of_the_searches() -> None:
    with pytest.raises(ConfigError, match="or what is made here: own, random_search, grid_search, screen"):
        load(QUICK, ["arms.student=[none, grid]"])
    with pytest.raises(ConfigError, match=r"or what is made here: own\n"):
        load(QUICK, ["arms.teacher=[grid]"])
