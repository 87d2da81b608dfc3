"""The keys of a run's steps: what each depends on, hashed. Loads no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING

from edgedistill.data import tokenizers
from edgedistill.devices.inventory import listed
from edgedistill.distill.cache_files import Storage, kept_logits, soft_targets_key
from edgedistill.distill.methods.chosen import chosen_losses, leaves_layers_open, teacher_layers
from edgedistill.models import fingerprints
from edgedistill.quantize.spec import BiasType
from edgedistill.recipe import Balance, Task
from edgedistill.run import inversion, samples
from edgedistill.run.directory import key_of
from edgedistill.targets.base import profile_named
from edgedistill.targets.registry import target_named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgedistill.distill.methods.chosen import ChosenLoss
    from edgedistill.quantize.spec import QuantSpec
    from edgedistill.recipe import Recipe, TargetChoice

# Raised when a step computes something else than before from the same recipe.
VERSIONS = {"teach": 2, "distill": 1, "baseline": 1, "quantize": 4, "build": 3, "verify": 5, "bench": 2, "devices": 1}
ZEROS_AT_PADDING = "@padding: 0"
"""Stands in a key for what features of texts have had at padding since they are kept whole."""
TRAINING_ONLY = {"label_weight", "soft_targets", "hints", "losses", "balance", "baseline", "dot_delta"}


@dataclass(frozen=True)
class Keys:
    """The keys of a run's steps.

    Args:
        recipe: what to do.
        recipe_folder: relative paths of the recipe start here.
    """

    recipe: Recipe
    recipe_folder: Path

    @property
    def threads(self) -> int:
        """Threads of torch; another number may change the last bits of a training, so it is a part of its key."""
        return self.recipe.threads or os.cpu_count() or 1

    def spec(self, choice: TargetChoice) -> QuantSpec:
        """Return how a chosen target wants numbers."""
        target = target_named(choice.target)
        return target.quant_spec(profile_named(target, choice.profile, choice.options))

    def storage(self, *, classes: int) -> Storage:
        """Return how the teacher's outputs are kept, of so many classes; embeddings and maps are kept whole."""
        cache = self.recipe.cache
        wanted = cache.top_k if self.recipe.task is Task.CLASSIFICATION else 0
        top_k = kept_logits(wanted, classes=classes)
        return Storage(top_k, self.recipe.distill.soft_targets.temperature, cache.features)

    def soft_targets(self, transfer_fingerprint: str, storage: Storage, *, layers: Sequence[str]) -> str:
        """Return the name of the teacher's outputs in the cache; shared by every run with this teacher and data.

        Args:
            transfer_fingerprint: of the transfer set as the teacher sees it.
            storage: how the outputs are kept.
            layers: of the teacher whose features are kept; each by its path.
        """
        is_text = self.recipe.data.preprocessing.kind == "text"
        return soft_targets_key(
            teacher_fingerprint=self._teacher,
            transfer_fingerprint=transfer_fingerprint,
            layers=[*layers, ZEROS_AT_PADDING] if layers and is_text else layers,
            storage=storage,
        )

    @cached_property
    def teach(self) -> str:
        """Key of labelling."""
        recipe, synthesis = self.recipe, self._synthesis
        return self._key(
            "teach",
            data=self._data,
            teacher=self._teacher,
            layers=self._layers,
            **self._open_layers,
            epochs=max(recipe.distill.epochs, recipe.quantize.finetune.epochs),
            **self._kept,
            **synthesis,
        )

    @cached_property
    def distill(self) -> str:
        """Key of the student."""
        settings = self.recipe.distill.model_dump(mode="json", exclude={"baseline", "losses", "balance"})
        del settings["soft_targets"]["standardize"]
        start = self.recipe.student.start
        parts = {**self._labelled, **self._methods}
        parts |= {} if start is None else {"start": start.model_dump(mode="json")}
        return self._key("distill", teach=self.teach, student=self._student, settings=settings, **parts)

    @cached_property
    def baseline(self) -> str:
        """Key of the student that learns alone."""
        settings = self.recipe.distill.model_dump(mode="json", exclude=TRAINING_ONLY)
        return self._key("baseline", data=self._data, student=self._student, settings=settings, **self._labelled)

    def quantize(self, spec: QuantSpec) -> str:
        """Key of the program for one spec."""
        settings = self.recipe.quantize.model_dump(mode="json")
        temperature = self.recipe.distill.soft_targets.temperature
        more = {} if spec == self.first_spec else {"after": self.quantize(self.first_spec)}
        if spec.bias == BiasType.FP16:
            # since every float constant and factor is held in fp16 with these; others stay as they were
            more["floats"] = "fp16, factors too"
        return self._key(
            "quantize", student=self.distill, spec=spec.key, settings=settings, temperature=temperature, **more
        )

    @property
    def first_spec(self) -> QuantSpec:
        """The spec that is fine-tuned first; others start from its weights."""
        return self.spec(self.recipe.targets[0])

    def build(self, choice: TargetChoice) -> str:
        """Key of one artifact."""
        target = target_named(choice.target)
        profile = profile_named(target, choice.profile, choice.options)
        return self._key(
            "build",
            program=self.quantize(self.spec(choice)),
            target=choice.target,
            profile={"name": profile.name, "title": profile.title, **profile.facts, **_options(choice)},
            name=self.recipe.name,
            classes=self.recipe.data.classes,
        )

    def verify(self, choice: TargetChoice) -> str:
        """Key of the proof of one artifact."""
        settings = self.recipe.verify.model_dump(mode="json")
        return self._key("verify", artifact=self.build(choice), settings=settings)

    def bench(self, choice: TargetChoice) -> str:
        """Key of the latency of one artifact and its fp32 student."""
        settings = self.recipe.bench.model_dump(mode="json", exclude={"devices"})
        emulate = self.recipe.verify.emulate
        return self._key("bench", artifact=self.build(choice), settings=settings, emulate=emulate)

    def on_devices(self, stage: str, choice: TargetChoice) -> str:
        """Key of what one artifact does on the recipe's devices, at the addresses that the inventory has for them.

        Raises:
            InputError: a device has no address.
        """
        devices = {name: listed(name, project=self.recipe_folder).entry.address for name in self.recipe.bench.devices}
        own = self.verify(choice) if stage == "verify" else self.bench(choice)
        return self._key("devices", stage=stage, own=own, devices=devices)

    @cached_property
    def inversion(self) -> str:
        """Name of the folder of the samples that are made from the teacher."""
        return inversion.key(self.recipe, teacher_fingerprint=self._teacher, threads=self.threads)

    @property
    def _synthesis(self) -> dict[str, object]:
        """What samples that are made from the teacher depend on; nothing where there are none, so that keys stay."""
        if not inversion.is_wanted(self.recipe):
            return {}
        inversion.refuse_impossible(self.recipe)
        return {"inversion": self.inversion, "synthesis": self.recipe.data.inversion.model_dump(mode="json")}

    def _key(self, step: str, **parts: object) -> str:
        shared = {"seed": self.recipe.seed, "threads": self.threads, "torch": version("torch")}
        return key_of(step=step, version=VERSIONS[step], **shared, **parts)

    @property
    def _kept(self) -> dict[str, object]:
        """How the teacher's outputs are kept, where the recipe says so; nothing else, so that earlier keys stay."""
        cache = self.recipe.cache.model_dump(mode="json", include={"top_k", "features"}, exclude_defaults=True)
        return {"kept": [cache, self.recipe.distill.soft_targets.temperature]} if cache else {}

    @cached_property
    def _data(self) -> object:
        data = self.recipe.data
        found: dict[str, object] = {
            "source": self.inversion if inversion.is_data(self.recipe) else self._source,
            "preprocessing": data.preprocessing.model_dump(mode="json"),
            "views": data.views.model_dump(mode="json", exclude=data.views.unused),
            "classes": data.classes,
            "task": str(self.recipe.task),
        }
        if data.preprocessing.kind == "text":
            found["tokenizer"] = tokenizers.fingerprint(data.preprocessing, self.recipe_folder)
        if data.max_per_class is not None:
            found["max_per_class"] = data.max_per_class
        if data.evaluation is not None:
            found["evaluation"] = samples.evaluation_fingerprint(self.recipe, self.recipe_folder)
        return found

    @property
    def _layers(self) -> list[str]:
        """The teacher's layers that are learned from; in the order of the hints, so that earlier keys stay."""
        hints = [hint.teacher for hint in self.recipe.distill.hints]
        return hints + [layer for layer in teacher_layers(self.recipe.distill) if layer not in hints]

    @property
    def _open_layers(self) -> dict[str, object]:
        """What the layers depend on that the recipe leaves open; nothing where it names all."""
        distill = self.recipe.distill
        if not leaves_layers_open(distill):
            return {}
        losses = [(loss.method.name, [[pair.teacher, pair.student] for pair in loss.pairs]) for loss in self._chosen]
        return {"paired": losses, "student": self._student}

    @property
    def _chosen(self) -> tuple[ChosenLoss, ...]:
        return chosen_losses(self.recipe.distill.losses)

    @property
    def _methods(self) -> dict[str, object]:
        """What the recipe chooses of the newer settings; nothing where it chooses none, so that earlier keys stay.

        Raises:
            RecipeError: a loss has a method or an option that there is not.
        """
        distill = self.recipe.distill
        found: dict[str, object] = {}
        if distill.losses:
            found["losses"] = [loss.document() for loss in self._chosen]
        if distill.soft_targets.standardize:
            found["standardize"] = True
        if distill.balance is not Balance.NONE:
            found["balance"] = str(distill.balance)
        return found

    @property
    def _labelled(self) -> dict[str, object]:
        """The labels that a student sees; nothing where it sees all, so that earlier keys stay."""
        share = self.recipe.data.labelled
        return {} if share == 1 else {"labelled": share}

    @property
    def _source(self) -> str:
        return samples.fingerprint(self.recipe, self.recipe_folder)

    @cached_property
    def _teacher(self) -> str:
        return fingerprints.fingerprint(self.recipe.teacher, self.recipe_folder)

    @cached_property
    def _student(self) -> str:
        return fingerprints.fingerprint(self.recipe.student, self.recipe_folder)


def _options(choice: TargetChoice) -> dict[str, object]:
    """Return the options of a choice for its key; nothing where there are none, so that earlier keys stay."""
    return {"options": choice.options} if choice.options else {}
