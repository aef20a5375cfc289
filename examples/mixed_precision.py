"""Distillation in one's own loop with autocast, accumulated gradients and clipping; `--device cuda` on a GPU."""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn

import rolewise as rw

ACCUMULATE = 4  # batches of 16 make a step of 64

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
labels = torch.tensor(digits.target)
few, held_out = slice(0, 320), slice(1000, None)


def network(width: int) -> nn.Module:
    layers = [nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, 10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args().device
    torch.manual_seed(0)
    torch.set_num_threads(1)  # networks as small as these are slower on several
    teacher, student = network(32), network(12)
    held = (images[held_out], labels[held_out])
    print(rw.distill(None, teacher, (images[:1000], labels[:1000]), held, epochs=6, learning_rate=0.01))

    distiller = rw.Distiller(teacher, student, methods=["kd", "dist"], label_weight=0.1).to(device)
    optimizer = torch.optim.AdamW(distiller.trainable_parameters(), lr=0.01)
    # Gradients of bfloat16 need no scaling; those of float16 do, and the scaler may refuse a step.
    kind = torch.float16 if device.startswith("cuda") else torch.bfloat16
    scaler = torch.amp.GradScaler(device.partition(":")[0], enabled=kind is torch.float16)
    for _ in range(30):
        batches = torch.randperm(320).split(16)
        for number, rows in enumerate(batches, start=1):
            with torch.autocast(device.partition(":")[0], kind):
                terms = distiller(images[few][rows].to(device), labels[few][rows].to(device))
            scaler.scale(terms.total / ACCUMULATE).backward()
            if number % ACCUMULATE:
                continue
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(distiller.trainable_parameters(), 5.0)
            before = scaler.get_scale()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            # A step that the scaler refused moves no memory of a method; kd and dist keep none, others may.
            distiller.after_step(taken=scaler.get_scale() >= before)
    assert terms.total.dtype == torch.float32, "losses are computed in single precision whatever the networks run in"
    with torch.no_grad():
        accuracy = (student.eval()(images[held_out].to(device)).argmax(1).cpu() == labels[held_out]).float().mean()
    print(f"student, {kind}, {ACCUMULATE} batches a step: {accuracy:.1%}")


if __name__ == "__main__":
    main()
