"""A student that starts from its teacher beside the same student that starts at random, at equal steps.

Usage: python benchmarks/distillation/starting_points.py [--part images texts] [--samples 20000] [--epochs 2]
       [--seeds 0 1 2] [--examples examples]

Images: the demonstration's teacher (width 24, blocks 1, 2, 2) and student (width 14, blocks 1, 1, 1, half the
resolution), distilled as its recipe says on a part of Fashion-MNIST; the student starts at random or with the teacher's
channels by each importance, at the recipe's learning rate and at a quarter of it. Texts: a `text-encoder` with six
layers is trained on the tweets of `examples/tweets.py`, and distilled into one with three, of the same width, that
starts at random or with the teacher's layers 0, 2, 4 or 1, 3, 5, or with its first three. Seeds change first weights
and order; the views are the same. Mean, range and every single accuracy on the test set; "before" is the student's
accuracy before its first step. About 10 minutes on 2 quiet cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import torch

from edgedistill.data.tokenizers import tokenizer_of
from edgedistill.data.transfer_set import Samples
from edgedistill.data.views import transfer_set
from edgedistill.distill.start.starting import start_from_teacher
from edgedistill.distill.student import distill, train_alone
from edgedistill.distill.teacher_cache import teach
from edgedistill.models.loading import load_model
from edgedistill.models.text import TextEncoder
from edgedistill.recipe import Distill, Importance, Start, StartMethod, Views, recipe_from_yaml
from edgedistill.run.samples import load

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from edgedistill.data.transfer_set import TransferSet
    from edgedistill.distill.teacher_cache import SoftTargets

ROOT = Path(__file__).parents[2]
LAYERS = {"layers 0, 2, 4": (0, 2, 4), "layers 1, 3, 5": (1, 3, 5), "layers 0, 1, 2": (0, 1, 2)}
TEXTS = Distill(
    epochs=2,
    batch_size=64,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.01,
    label_weight=0.5,
    soft_targets={"weight": 0.5, "temperature": 2.0},
)


def accuracy(model: nn.Module, test: TransferSet) -> float:
    """Return the accuracy on the test set; the model is left in evaluation mode."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(test), 500):
            batch = test.plain(range(start, min(start + 500, len(test))))
            right += int((model(torch.from_numpy(batch.inputs)).argmax(1) == torch.from_numpy(batch.labels)).sum())
    return right / len(test)


def compared(
    arms: Mapping[str, tuple[Start | None, Distill]],
    teacher: nn.Module,
    new_student: Callable[[int], nn.Module],
    sets: tuple[TransferSet, TransferSet],
    soft_targets: SoftTargets,
    *,
    seeds: Sequence[int],
) -> dict[str, object]:
    """Return the accuracies of every arm and seed; arms take turns."""
    train, test = sets
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"before": [], "values": []})
    copied: dict[str, str] = {}
    for seed in seeds:
        for name, (start, settings) in arms.items():
            student = new_student(seed)
            if start is not None:
                copied[name] = start_from_teacher(student, teacher, train, start).text
            found[name]["before"].append(accuracy(student, test))
            distill(student, train, soft_targets, settings=settings, seed=seed)
            found[name]["values"].append(accuracy(student, test))
            print(f"seed {seed}, {name}: {found[name]['values'][-1]:.4f}", flush=True)
    return {
        name: {
            "mean": fmean(item["values"]),
            "lowest": min(item["values"]),
            "highest": max(item["values"]),
            **item,
            "copied": copied.get(name, ""),
        }
        for name, item in found.items()
    }


def images(args: argparse.Namespace) -> dict[str, object]:
    """Compare starts of the demonstration's student."""
    recipe = recipe_from_yaml(ROOT / "examples/fashion_mnist.yaml")
    raw, test = (load(recipe, args.examples, split) for split in ("train", "test"))
    count = args.samples
    few = Samples(raw.raw[:count], raw.labels[:count], raw.classes, f"{raw.fingerprint}-{count}")
    train = transfer_set(few, recipe.data.preprocessing, recipe.data.views, 0)
    shown = transfer_set(test, recipe.data.preprocessing, Views(count=1), 0)
    teacher = load_model(recipe.teacher, classes=10, channels=1, recipe_folder=args.examples).eval()

    def new_student(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return load_model(recipe.student, classes=10, channels=1, recipe_folder=args.examples)

    settings = recipe.distill.model_copy(update={"epochs": float(args.epochs)})
    gentle = settings.model_copy(update={"learning_rate": settings.learning_rate / 4})
    starts: dict[str, Start | None] = {"random": None}
    starts |= {str(by): Start(method=StartMethod.SLICE_CHANNELS, importance=by) for by in Importance}
    arms = {
        f"{name}, learning rate {chosen.learning_rate:g}": (start, chosen)
        for name, start in starts.items()
        for chosen in (settings, gentle)
    }
    with tempfile.TemporaryDirectory() as folder:
        views = min(args.epochs, train.view_count)
        targets = teach(teacher, train, key="images", folder=Path(folder), views_needed=views)
        results = compared(arms, teacher, new_student, (train, shown), targets, seeds=args.seeds)
    return {"teacher": accuracy(teacher, shown), "samples": count, "n": len(shown), "arms": results}


def texts(args: argparse.Namespace) -> dict[str, object]:
    """Compare starts of a small encoder."""
    recipe = recipe_from_yaml(ROOT / "examples/text_classification.yaml")
    raw, test = (load(recipe, args.examples, split) for split in ("train", "test"))
    preprocessing = recipe.data.preprocessing
    tokenizer = tokenizer_of(preprocessing, args.examples, texts=raw.raw.tolist())  # type: ignore[arg-type] # texts
    train, shown = (
        transfer_set(samples, preprocessing, views, 0, tokenizer=tokenizer)
        for samples, views in ((raw, Views(count=args.epochs, drop_words=0.1)), (test, Views(count=1)))
    )

    def encoder(seed: int, layers: int) -> nn.Module:
        torch.manual_seed(seed)
        length, padding = tokenizer.preprocessing.max_length, tokenizer.padding
        return TextEncoder(
            classes=len(raw.classes), vocabulary=tokenizer.size, length=length, padding=padding, layers=layers
        )

    teacher = encoder(100, 6)
    train_alone(teacher, train, settings=TEXTS.model_copy(update={"epochs": 6.0}), seed=100)
    settings = TEXTS.model_copy(update={"epochs": float(args.epochs)})
    starts = {name: Start(method=StartMethod.COPY_LAYERS, layers=layers) for name, layers in LAYERS.items()}
    arms = {name: (start, settings) for name, start in {"random": None, **starts}.items()}
    with tempfile.TemporaryDirectory() as folder:
        targets = teach(teacher, train, key="texts", folder=Path(folder), views_needed=args.epochs)
        results = compared(arms, teacher, lambda seed: encoder(seed, 3), (train, shown), targets, seeds=args.seeds)
    return {"teacher": accuracy(teacher, shown), "samples": len(raw), "n": len(shown), "arms": results}


def main() -> None:
    """Compare, print, write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="+", choices=["images", "texts"], default=["images", "texts"])
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--examples", type=Path, default=ROOT / "examples", help="where `tweets/` is")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/distillation_starting_points.json")
    args = parser.parse_args()
    started = time.perf_counter()
    parts = {"images": images, "texts": texts}
    before = json.loads(args.out.read_text("utf-8"))["results"] if args.out.is_file() else {}
    found = {name: parts[name](args) for name in args.part}
    document = {
        "epochs": args.epochs,
        "seeds": args.seeds,
        "results": {**before, **found},
        "threads": torch.get_num_threads(),
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "wall_seconds": time.perf_counter() - started,
    }
    args.out.write_text(json.dumps(document, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
