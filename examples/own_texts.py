"""Texts in one's own loop: an encoder of one layer, a bag of embeddings alone, and the same bag with the encoder.

The sentences are made here, of words that are for or against something, which "not" and "hardly" turn round: the bag
sees no order and has few labels, and learns from the encoder on sentences without any. A quarter of a minute on one
core, and no network access: the encoder is built from a configuration (`pip install "rolewise[text]"`).
"""

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

import rolewise as rw
from rolewise.models import build
from rolewise.models.sentence_classifier import SentenceClassifier

WORDS = 60  # numbers 2 to 25 are for, 26 to 49 against, the rest neither; 0 is padding
NOT = (1, 50)
Texts = dict[str, Tensor]


def sentences(count: int, seed: int) -> tuple[Texts, Tensor]:
    """Makes sentences of 4 to 12 words, as a tokenizer would give them, and their classes: for or against."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, WORDS, (count, 12), generator=draw)
    turned = torch.rand(count, 12, generator=draw) < 0.15
    ids[turned] = torch.tensor(NOT)[torch.randint(2, (int(turned.sum()),), generator=draw)]
    lengths = torch.randint(4, 13, (count, 1), generator=draw)
    mask = (torch.arange(12) < lengths).long()
    worth = ((ids >= 2) & (ids < 26)).float() - ((ids >= 26) & (ids < 50)).float()
    before = torch.isin(ids, torch.tensor(NOT)).roll(1, 1)
    before[:, 0] = False
    total = (torch.where(before, -worth, worth) * mask).sum(1)
    sure = total != 0
    texts = {"input_ids": (ids * mask)[sure], "attention_mask": mask[sure]}
    return texts, (total[sure] > 0).long()


def part(texts: Texts, rows: Tensor) -> Texts:
    return {name: tensor[rows] for name, tensor in texts.items()}


def train(distiller: rw.Distiller, texts: Texts, targets: Tensor | None, steps: int) -> None:
    optimizer = torch.optim.AdamW(distiller.trainable_parameters(), lr=0.006)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.006, total_steps=steps)
    distiller.train()
    for _ in range(steps):
        rows = torch.randint(len(texts["input_ids"]), (64,))
        terms = distiller(part(texts, rows), None if targets is None else targets[rows])
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def accuracy(network: nn.Module, texts: Texts, targets: Tensor) -> float:
    return float((network.eval()(**texts).argmax(1) == targets).float().mean())


def main(train_texts: int = 40000, labelled: int = 150, steps: int = 600, test_texts: int = 2000) -> dict[str, float]:
    torch.manual_seed(0)
    torch.set_num_threads(1)  # networks as small as these are slower on several
    texts, targets = sentences(train_texts, 0)
    held_out = sentences(test_texts, 1)
    few, its_targets = part(texts, torch.arange(labelled)), targets[:labelled]
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    encoder = BertModel(
        BertConfig(vocab_size=WORDS, max_position_embeddings=16, initializer_range=0.1, **size), add_pooling_layer=False
    )
    teacher = SentenceClassifier(encoder, num_classes=2)
    alone, student = (build("bag_of_embeddings", num_classes=2, vocabulary=WORDS, width=16, seed=0) for _ in range(2))
    train(rw.Distiller(None, teacher), texts, targets, steps)
    train(rw.Distiller(None, alone), few, its_targets, steps)
    methods = [rw.kd(temperature=2.0, weight=1.0)]
    train(rw.Distiller(teacher, student, methods, label_weight=0.0), texts, None, steps)
    found = {
        name: accuracy(model, *held_out)
        for name, model in (("teacher", teacher), ("student alone", alone), ("student distilled", student))
    }
    for name, value in found.items():
        print(f"{name}: {value:.1%} of {len(held_out[1]):,} sentences")
    return found


if __name__ == "__main__":
    main()
