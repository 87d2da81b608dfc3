"""Takes models through spec, calibration, ONNX, rules and NVIDIA's real builder, and compares the outputs.

    python benchmarks/jetson/models.py zoo mobilenet_v2 [--samples 256]    a model of benchmarks/zoo, calibrated
    python benchmarks/jetson/models.py student RUN RECIPE [KEY=VALUE ...]  the student of a finished run

A model of the zoo is calibrated, not fine-tuned, and compared on what `zoo/shown.py` shows it: crops of photographs for
models with weights, tweets for the sentence encoder, noise for random weights. A run's student goes through the steps
quantize (calibration, fine-tuning where that is not enough), build and verify of `edgedistill run`, over the whole
evaluation set. "INT8 share" is that of the multiply-accumulates for which TensorRT-RTX 1.7 chose an INT8 kernel: SM
8.6, not a Jetson.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from pathlib import Path

import onnx
import onnxruntime
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import zoo  # noqa: E402
from zoo.shown import agreement, calibrated_program, in_float, shown  # noqa: E402

from edgedistill.progress import SILENT  # noqa: E402
from edgedistill.recipe import TargetChoice, recipe_from_yaml  # noqa: E402
from edgedistill.run.context import Context  # noqa: E402
from edgedistill.run.directory import RunDirectory  # noqa: E402
from edgedistill.run.keys import Keys  # noqa: E402
from edgedistill.run.steps import build as build_step  # noqa: E402
from edgedistill.run.steps import quantize as quantize_step  # noqa: E402
from edgedistill.run.steps import verify as verify_step  # noqa: E402
from edgedistill.targets.base import profile_named  # noqa: E402
from edgedistill.targets.jetson_tensorrt.executor import LiteralExecutor, Remainder  # noqa: E402
from edgedistill.targets.jetson_tensorrt.forms import forms_of, issues_of  # noqa: E402
from edgedistill.targets.jetson_tensorrt.structure import INT8_ATTENTION, structure_of  # noqa: E402
from edgedistill.targets.registry import target_named  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "jetson_models.json"
PROFILE = "agx-orin"
MOST_NAMES = 20


def main() -> None:
    """Take one model or run, and add its row to the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("zoo").add_argument("name", choices=sorted(zoo.ZOO))
    kinds.choices["zoo"].add_argument("--samples", type=int, default=256)
    kinds.choices["zoo"].add_argument("--weights", type=Path, help="what zoo/distilled.py wrote")
    kinds.choices["zoo"].add_argument("--tweets", type=Path, help="vaderSentiment-3.3.2.tar.gz, for the encoder")
    student = kinds.add_parser("student")
    student.add_argument("folder", type=Path)
    student.add_argument("recipe", type=Path)
    student.add_argument("overrides", nargs="*")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    if arguments.kind == "zoo":
        rows = {arguments.name: of_zoo(arguments.name, arguments)}
    else:
        rows = {"student": of_student(arguments.folder, arguments.recipe, arguments.overrides)}
    out = arguments.out
    document = json.loads(out.read_text("utf-8")) if out.exists() else {"rows": {}}
    document["versions"] = {
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
    document["rows"].update(rows)
    out.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", "utf-8")
    print(json.dumps(rows, indent=1))


def of_zoo(name: str, arguments: argparse.Namespace) -> dict[str, object]:
    """Return what came of a model of the zoo."""
    target = target_named("jetson-tensorrt")
    profile = profile_named(target, PROFILE)
    weights = arguments.weights if zoo.ZOO[name].weights == "random" else None
    model = zoo.model(name, weights=weights)
    given = shown(name, arguments.samples, weights=weights, archive=arguments.tweets)
    program = calibrated_program(model, given.seen, target.quant_spec(profile))
    forms = forms_of(program, profile)
    issues = issues_of(forms, profile)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(forms[0].model, path)
        structure = structure_of(path)
        half = structure_of(_saved(forms[1].model, Path(folder) / "fp16.onnx"))
        inputs = given.unseen.numpy()
        program_outputs = program.run(inputs, batch=1)
        literal = {str(kind): LiteralExecutor(path, kind).run(inputs) for kind in Remainder}
    compared = partial(agreement, embedding=given.embedding)
    float_outputs = in_float(model, given.unseen)
    return {
        "weights": "distilled here, see zoo/distilled.py" if weights else zoo.ZOO[name].weights,
        "samples": len(inputs),
        "evaluation": given.title,
        "forms": [form.file for form in forms],
        "rules": sorted({f"{issue.severity} {issue.rule} {issue.node}" for issue in issues})[:MOST_NAMES],
        "builder": structure.label,
        "built": structure.built,
        "errors": list(structure.errors),
        "int8_share": structure.int8_share,
        "products": len(structure.layers),
        "int8_products": sum(layer.is_int8 for layer in structure.layers),
        "attention_products": sum(layer.data_type == INT8_ATTENTION for layer in structure.layers),
        "float_products": [asdict(layer) for layer in structure.layers if not layer.is_int8][:MOST_NAMES],
        "silently_float": [layer.node for layer in structure.silent_floats],
        "fp16_form_built": half.built,
        "program_against_float32_remainder": compared(program_outputs, literal["float32"]),
        "float32_against_fp16_remainder": compared(literal["float32"], literal["fp16"]),
        "fp32_model_against_program": compared(float_outputs, program_outputs),
        "fp32_model_against_float32_remainder": compared(float_outputs, literal["float32"]),
        "fp32_model_against_fp16_remainder": compared(float_outputs, literal["fp16"]),
    }


def of_student(folder: Path, recipe_path: Path, overrides: list[str]) -> dict[str, object]:
    """Return what came of the trained student of a run, fine-tuned by its own outputs where that is needed."""
    recipe = recipe_from_yaml(recipe_path, overrides=["quantize.finetune.guide=student", *overrides])
    choice = TargetChoice(target="jetson-tensorrt", profile=PROFILE)
    recipe = recipe.model_copy(update={"targets": (choice,)})
    keys = Keys(recipe, recipe_path.resolve().parent)
    with tempfile.TemporaryDirectory() as name:
        directory = RunDirectory(Path(name))
        shutil.copytree(folder / "student", Path(name) / "student")
        context = Context(recipe, keys.recipe_folder, directory, keys, SILENT)
        outcomes = {
            "quantize": quantize_step.quantize(context, keys.spec(choice), step="quantize"),
            "build": build_step.build(context, choice),
            "verify": verify_step.verify(context, choice),
        }
        fp32 = context.test_score(context.trained_student())
    result = {name: dict(outcome.result) for name, outcome in outcomes.items()}
    artifact = result["build"]["artifact"]
    return {
        "name": recipe.name,
        "evaluation": f"{recipe.data.source}, {len(context.test)} samples",
        "fp32_accuracy": fp32,
        "read_back": f"{artifact['readback_equal']} of {artifact['readback_tensors']}",
        "rules": result["build"]["notes"],
        "quantize_notes": result["quantize"]["notes"],
        "ladder": [*result["quantize"]["rungs"], *result["verify"]["rungs"]],
        "parity": result["verify"]["parity"],
        "inspections": result["verify"]["inspections"],
    }


def _saved(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


if __name__ == "__main__":
    main()
