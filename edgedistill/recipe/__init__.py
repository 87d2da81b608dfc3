"""The recipe: everything one run does, typed and validated; its JSON schema is published for editors."""

from edgedistill.recipe.data import AudioViews, Captured, Data, Inversion, Views
from edgedistill.recipe.deployment import Bench, Emulate, TargetChoice, Verify
from edgedistill.recipe.document import Cache, Recipe, StoredFeatures, Task, TrackerName
from edgedistill.recipe.learning import Balance, Distill, Hint, Loss, Optimizer, SoftTargets, Training
from edgedistill.recipe.networks import Importance, Member, Model, Network, Start, StartMethod, Student
from edgedistill.recipe.quantization import (
    Calibration,
    CalibrationSource,
    Finetune,
    FinetuneWhen,
    Guide,
    Quantize,
    RangeMethod,
    Scales,
)
from edgedistill.recipe.reading import recipe_from_mapping, recipe_from_yaml, recipe_schema, section_from_mapping
from edgedistill.recipe.section import Scalar, Section, Share

__all__ = [
    "AudioViews",
    "Balance",
    "Bench",
    "Cache",
    "Calibration",
    "CalibrationSource",
    "Captured",
    "Data",
    "Distill",
    "Emulate",
    "Finetune",
    "FinetuneWhen",
    "Guide",
    "Hint",
    "Importance",
    "Inversion",
    "Loss",
    "Member",
    "Model",
    "Network",
    "Optimizer",
    "Quantize",
    "RangeMethod",
    "Recipe",
    "Scalar",
    "Scales",
    "Section",
    "Share",
    "SoftTargets",
    "Start",
    "StartMethod",
    "StoredFeatures",
    "Student",
    "TargetChoice",
    "Task",
    "TrackerName",
    "Training",
    "Verify",
    "Views",
    "recipe_from_mapping",
    "recipe_from_yaml",
    "recipe_schema",
    "section_from_mapping",
]
