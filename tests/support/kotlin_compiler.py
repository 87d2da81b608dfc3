"""The Kotlin compiler on this machine, and what the Android module is compiled against: real jars, else stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STAND_INS = Path(__file__).parents[1] / "targets" / "arm_onnxruntime" / "jvm"
JARS = Path("/usr/share/java")
JUNIT, HAMCREST, JSON = (JARS / name for name in ("junit4.jar", "hamcrest-core.jar", "json-android.jar"))
STRICT = ("-no-reflect", "-jvm-target", "17", "-Werror", "-Wextra", "-Xreport-all-warnings", "-module-name", "lib")


def missing() -> str:
    """Return why nothing can be compiled here, or nothing."""
    home = os.environ.get("KOTLIN_HOME")
    if home is None:
        return "KOTLIN_HOME is not set: the folder of the npm package kotlin-compiler"
    wanted = [Path(home) / "bin" / "kotlinc", JUNIT, HAMCREST, JSON]
    absent = [str(path) for path in wanted if not path.exists()]
    absent += [name for name in ("java", "javac") if shutil.which(name) is None]
    return f"not found: {', '.join(absent)}" if absent else ""


def onnxruntime_jar() -> Path | None:
    """Return the real Java package of ONNX Runtime, where ONNXRUNTIME_JAR names it."""
    named = os.environ.get("ONNXRUNTIME_JAR")
    return Path(named) if named else None


def run(command: Sequence[object]) -> str:
    """Run a command and return all it printed; what it printed is the error where it fails."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@dataclass(frozen=True)
class Compiled:
    """Modules that were compiled, with their tests.

    Args:
        folder: of the classes.
        classpath: all that they need to run.
    """

    folder: Path
    classpath: Sequence[Path]

    def junit(self, classes: Sequence[str], *, resources: Path, properties: Mapping[str, str] | None = None) -> str:
        """Run tests of JUnit and return what they printed."""
        path = ":".join(map(str, [*self.classpath, resources]))
        given = [f"-D{name}={value}" for name, value in (properties or {}).items()]
        return run(["java", *given, "-cp", path, "org.junit.runner.JUnitCore", *classes])


def compiled(modules: Sequence[Path], into: Path) -> Compiled:
    """Compile Android modules and their tests, every warning an error.

    Android's classes are stand-ins; those of ONNX Runtime are the real ones where `onnxruntime_jar` has them.
    """
    home = Path(os.environ["KOTLIN_HOME"])
    kotlinc, libraries = home / "bin" / "kotlinc", home / "lib"
    android, main, tests = into / "android", into / "main", into / "tests"
    runtime = onnxruntime_jar() or into / "onnxruntime"
    java = ("javac", "-Xlint:all,-serial", "-Werror", "-d")
    annotations = f"{libraries / 'annotations-13.0.jar'}:{JUNIT}"
    run([*java, android, "-cp", annotations, *sorted((STAND_INS / "android").rglob("*.java"))])
    if onnxruntime_jar() is None:
        run([*java, runtime, *sorted((STAND_INS / "onnxruntime").rglob("*.java"))])
    coroutines = libraries / "kotlinx-coroutines-core-jvm.jar"
    path = [android, runtime, JSON, coroutines]
    sources = {name: _kotlin(modules, name) for name in ("main", "test", "androidTest")}
    run([kotlinc, *STRICT, "-Xexplicit-api=strict", "-cp", _joined(path), "-d", main, *sources["main"]])
    path = [main, *path, JUNIT, HAMCREST]
    tested = [*sources["test"], *sources["androidTest"]]
    run([kotlinc, *STRICT, "-cp", _joined(path), f"-Xfriend-paths={main}", "-d", tests, *tested])
    return Compiled(into, [tests, *path, libraries / "kotlin-stdlib.jar"])


def _kotlin(modules: Sequence[Path], name: str) -> list[Path]:
    return [path for module in modules for path in sorted((module / "src" / name / "kotlin").rglob("*.kt"))]


def _joined(paths: Sequence[Path]) -> str:
    return ":".join(map(str, paths))
