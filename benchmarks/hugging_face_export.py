"""The teacher itself on the workstation's ONNX Runtime, exported by optimum, beside the student's artifact.

Usage: python benchmarks/hugging_face_export.py RUN [--out results/hugging_face_export.json]

RUN is the run directory of examples/text_classification.yaml. Needs the extra `text`. Both models read the
same raw tweets of the test split. Accuracy is over all of them; latency is the time of one call at batch 1 with one
thread, tokenizing apart, interleaved, on this workstation: it says nothing of a board.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from safetensors.numpy import load_file

from edgedistill.data import text_file, tokens
from edgedistill.data.preprocessing import TextPreprocessing
from edgedistill.data.text_rows import samples_from_rows
from edgedistill.data.tokenizers import tokenizer_of

TWEETS = Path(__file__).parents[1] / "examples" / "tweets"
ARTIFACT = "artifacts/arm-onnxruntime-raspberry-pi-5"
LONGEST, CALLS, WARMUP = 64, 400, 40


def exported_teacher(into: Path) -> Path:
    """Return the fp32 teacher as ONNX, written by optimum."""
    from optimum.exporters.onnx import main_export  # noqa: PLC0415 - slow, and needed once

    main_export(str(TWEETS / "teacher"), into, task="feature-extraction", local_files_only=True)
    return into / "model.onnx"


def session(path: Path, options: dict[str, str]) -> onnxruntime.InferenceSession:
    """Return a session of one thread."""
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    for key, value in options.items():
        settings.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])


class Teacher:
    """The exported encoder, mean pooling, normalisation and the trained head."""

    def __init__(self, path: Path) -> None:
        self.session, self.bytes = session(path, {}), path.stat().st_size
        self.wanted = {item.name for item in self.session.get_inputs()}
        self.head = load_file(TWEETS / "head.safetensors")
        settings = TextPreprocessing(tokenizer="teacher/tokenizer.json", max_length=LONGEST)
        self.tokenizer = tokenizer_of(settings, TWEETS, texts=())

    def inputs(self, text: str) -> dict[str, np.ndarray]:
        """Return what one text is to the model."""
        ids = self.tokenizer.ids([text]).astype(np.int64)
        ids = ids[:, : int((ids != 0).sum())]
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        return {name: value for name, value in feeds.items() if name in self.wanted}

    def run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        """Return the logits (1, classes)."""
        states = self.session.run(None, feeds)[0]
        mean = states.mean(1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True) @ self.head["head.weight"].T + self.head["head.bias"]


class Student:
    """The artifact, with the tokenizer that it carries."""

    def __init__(self, folder: Path) -> None:
        self.manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        options = self.manifest["session_options_by_machine"].get(platform.machine(), {})
        path = folder / self.manifest["model"]
        self.session, self.bytes = session(path, options), path.stat().st_size
        self.folder = folder

    def inputs(self, text: str) -> dict[str, np.ndarray]:
        """Return what one text is to the model."""
        found = tokens.preprocess(np.array([text]), self.manifest["preprocessing"], self.folder)
        return {self.manifest["input"]["name"]: found}

    def run(self, feeds: dict[str, np.ndarray]) -> np.ndarray:
        """Return the logits (1, classes)."""
        return self.session.run(None, feeds)[0]


def latencies_ms(models: dict[str, Teacher | Student], texts: list[str]) -> dict[str, np.ndarray]:
    """Return the time of single calls, the models taking turns."""
    feeds = {name: [model.inputs(text) for text in texts[:50]] for name, model in models.items()}
    found: dict[str, list[float]] = {name: [] for name in models}
    for call in range(WARMUP + CALLS):
        for name, model in models.items():
            feed = feeds[name][call % len(feeds[name])]
            start = time.perf_counter_ns()
            model.run(feed)
            found[name].append((time.perf_counter_ns() - start) / 1e6)
    return {name: np.array(values[WARMUP:]) for name, values in found.items()}


def main() -> None:
    """Export, evaluate, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "hugging_face_export.json")
    options = parser.parse_args()
    rows = text_file.read(TWEETS / "tweets.jsonl")
    test = samples_from_rows(rows, "test", source="tweets", fingerprint="", max_characters=2000, labelled=True)
    texts = test.raw.tolist()
    with tempfile.TemporaryDirectory() as folder:
        models = {
            "teacher, fp32, exported by optimum": Teacher(exported_teacher(Path(folder))),
            "student, INT8 artifact": Student(options.run / ARTIFACT),
        }
        times = latencies_ms(models, texts)
        answers = {
            name: np.array([model.run(model.inputs(text))[0].argmax() for text in texts])
            for name, model in models.items()
        }
    results = {
        name: {
            "bytes": model.bytes,
            "accuracy": float((answers[name] == test.labels).mean()),
            "p50_ms": float(np.median(times[name])),
            "p90_ms": float(np.quantile(times[name], 0.9)),
            "calls": CALLS,
        }
        for name, model in models.items()
    }
    document = {
        "n": len(texts),
        "machine": platform.machine(),
        "versions": {
            name: version(name) for name in ("onnxruntime", "optimum", "optimum-onnx", "transformers", "torch")
        },
        "results": results,
    }
    options.out.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    for name, found in results.items():
        size = f"{found['bytes'] / 1e6:.2f} MB"
        print(f"{name}: {found['accuracy']:.2%} of {len(texts)}, {size}, p50 {found['p50_ms']:.3f} ms")


if __name__ == "__main__":
    main()
