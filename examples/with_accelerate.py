"""Distillation in an accelerate loop (pip install accelerate): the Distiller is prepared as the model is elsewhere."""

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import rolewise as rw

digits = load_digits()
images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 8 - 1
labels = torch.tensor(digits.target)
train, held_out = (images[:320], labels[:320]), (images[1000:], labels[1000:])


def network(width: int) -> nn.Module:
    layers = [nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * width, 10))


def main() -> None:
    torch.set_num_threads(1)  # networks as small as these are slower on several
    set_seed(0)
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="bf16", gradient_accumulation_steps=2)
    teacher, student = network(32), network(12)
    accelerator.print(rw.distill(None, teacher, (images[:1000], labels[:1000]), held_out, epochs=6, learning_rate=0.01))

    distiller = rw.Distiller(teacher, student, methods=[rw.kd(temperature=4, weight=0.9)], label_weight=0.1)
    optimizer = torch.optim.AdamW(distiller.trainable_parameters(), lr=0.01)
    loader = DataLoader(TensorDataset(*train), 32, shuffle=True)
    distiller, optimizer, loader = accelerator.prepare(distiller, optimizer, loader)
    for _ in range(30):
        for batch in loader:
            with accelerator.accumulate(distiller):
                terms = distiller(*batch)
                accelerator.backward(terms.total)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(distiller.parameters(), 5.0)
                optimizer.step()
                optimizer.zero_grad()
                if accelerator.sync_gradients:  # of methods that keep a memory; kd keeps none
                    accelerator.unwrap_model(distiller).after_step(taken=not accelerator.optimizer_step_was_skipped)
    student = accelerator.unwrap_model(distiller).student.eval()
    with torch.no_grad():
        accuracy = (student(held_out[0].to(accelerator.device)).argmax(1).cpu() == held_out[1]).float().mean()
    accelerator.print(f"student, 320 images, distilled: {accuracy:.1%}")


if __name__ == "__main__":
    main()
