"""Masks laid back onto pictures, their files, and the agreement of two segmenters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

import rolewise as rw
from rolewise.data.picture_source import PictureRules
from rolewise.deploy.compared_images import compared_images
from rolewise.deploy.file_agreement import agreement, outputs
from rolewise.deploy.file_facts import FileFacts, form_of
from rolewise.deploy.open_file import open_file
from rolewise.deploy.predicted_masks import UNSEEN, mask_on_picture, mask_paths, write_mask
from rolewise.errors import InputError
from rolewise.inputs import InputSpec


def rules(resize: str, size: tuple[int, int]) -> PictureRules:
    return PictureRules(size, False, 0, resize, "exif", "error", 0.0)


def test_a_squashed_and_a_cut_picture_get_their_mask_back() -> None:
    mask = np.array([[0, 1], [2, 3]], np.uint8)
    assert np.array_equal(mask_on_picture(mask, (4, 6), rules("squash", (2, 2))), np.kron(mask, np.ones((2, 3))))
    cut = mask_on_picture(mask, (4, 8), rules("crop", (2, 2)))
    assert np.array_equal(cut[:, 2:6], np.kron(mask, np.ones((2, 2)))) and (cut[:, [0, 1, 6, 7]] == UNSEEN).all()
    # 8 x 4 fits in the middle of 4 x 4 as 4 x 2: the rows above and below are the background's.
    tall = np.arange(16, dtype=np.uint8).reshape(4, 4)
    assert np.array_equal(mask_on_picture(tall, (4, 8), rules("pad", (4, 4))), np.kron(tall[1:3], np.ones((2, 2))))


@pytest.mark.parametrize("size", [(40, 61), (61, 40), (33, 33)])
def test_a_mask_lies_where_the_decoder_took_its_pixels_from(size: tuple[int, int]) -> None:
    picture = np.zeros((*size, 3), np.uint8)
    picture[size[0] // 3 :, size[1] // 2 :] = 255
    given = ImageOps.fit(Image.fromarray(picture), (24, 16))
    found = mask_on_picture((np.asarray(given)[..., 0] > 127).astype(np.uint8), size, rules("crop", (16, 24)))
    seen = found != UNSEEN
    assert seen.mean() > 0.4 and (found[seen] == (picture[..., 0][seen] > 0)).mean() > 0.94


def test_masks_have_files_of_their_own(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (8, 4)).save(picture, exif=turned)
    (path,) = mask_paths(tmp_path / "masks", [picture])
    write_mask(path, torch.tensor([[1, 0], [0, 2]], dtype=torch.uint8), picture, rules("squash", (2, 2)))
    with Image.open(path) as image:
        # As the picture is seen, upright: 8 high and 4 wide.
        assert image.size == (4, 8) and np.unique(np.asarray(image)).tolist() == [0, 1, 2]
        assert len({tuple(image.getpalette()[3 * at : 3 * at + 3]) for at in range(21)}) == 21
    with pytest.raises(InputError, match="different names where masks are written"):
        mask_paths(tmp_path, [tmp_path / "x/a.png", tmp_path / "y/a.jpg"])
    Image.new("RGB", (8, 4)).save(tmp_path / "b.png")
    with pytest.raises(InputError, match="must not be written over the pictures"):
        mask_paths(tmp_path, [tmp_path / "b.png"])


def facts(classes: int, size: tuple[int, int]) -> FileFacts:
    names = tuple(map(str, range(classes)))
    form = form_of("segmentation", (3, *size), "bilinear")
    return FileFacts("segmentation", names, rules("crop", size), True, form, (0.0,) * 3, (1.0,) * 3)


def test_segmenters_agree_in_pixels_and_in_mean_iou() -> None:
    known = torch.zeros(2, 3, 2, 2)
    known[:, 0] = 4.0
    known[0, :, 0, 0] = torch.tensor([0.0, 4.0, 0.0])
    other = known.clone()
    other[1, :, 1, 1] = torch.tensor([0.0, 4.0, 0.0])
    found = agreement(facts(3, (2, 2)), other, known)
    # Of 8 pixels 7 agree; class 0: 6 of 7, class 1: 1 of 2; class 2 is in neither.
    assert found.share == 7 / 8 and found.images == 2
    assert found.mean_iou == pytest.approx((6 / 7 + 1 / 2) / 2)
    apart = (known.softmax(1) - other.softmax(1)).abs().max()
    assert found.largest == pytest.approx(float(apart))


def test_only_so_many_large_masks_are_compared() -> None:
    indices = torch.arange(5, 505)
    assert torch.equal(compared_images(facts(3, (4, 4)), indices), indices)
    chosen = compared_images(facts(20, (512, 512)), indices)
    assert len(chosen) == 12 and chosen[0] == 5 and chosen[-1] == 504 and len(chosen.unique()) == 12


@pytest.mark.slow
def test_a_segmenter_of_one_s_own_loop_gives_logits_for_every_pixel(tmp_path: Path) -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 2, 1)

        def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
            features = self.body(images)
            return {"out": self.head(features), "aux": self.head(features.relu())}

    images = torch.randint(0, 256, (4, 3, 16, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    spec = InputSpec((0.4,) * 3, (0.2,) * 3)
    settings = {"image": (3, 16, 20), "spec": spec, "classes": ["a", "b"], "task": "segmentation", "format": "torch"}
    network = Heads()
    made = rw.export_network(network, tmp_path / "a.pt2", **settings, images=images)
    predict, kept = open_file(tmp_path / "a.pt2")
    assert made.agreement == 1 and kept.kind == "segmentation" and not network._forward_hooks
    found = outputs(predict, images.float() / 255)
    with torch.no_grad():
        logits = network((images.float() / 255 - 0.4) / 0.2)["out"]
    whole = nn.functional.interpolate(logits, (16, 20), mode="bilinear", align_corners=False)
    assert found.shape == (4, 2, 16, 20) and torch.allclose(found, whole, atol=1e-5)
    with pytest.raises(InputError, match=r"classes must name each of the network's outputs"):
        rw.export_network(network, tmp_path / "b.pt2", **{**settings, "classes": ["a"]})
