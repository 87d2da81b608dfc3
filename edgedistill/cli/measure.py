"""`edgedistill bench`: latencies of a recipe or of a built artifact; stored measurements read, compared, taken in."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.core import TyperGroup

from edgedistill.cli.arguments import JsonOption
from edgedistill.cli.bench import bench as of_recipe
from edgedistill.cli.guard import guarded
from edgedistill.cli.output import document, say, table
from edgedistill.errors import InputError

if TYPE_CHECKING:
    from edgedistill.bench.measurement import Measurement, Rehearsal
    from edgedistill.bench.on_device import Settings
    from edgedistill.bench.recording import Recording
    from edgedistill.data.transfer_set import Samples
    from edgedistill.devices.fleet import Ended
    from edgedistill.progress import Progress
    from edgedistill.run.artifact_bench import Compared, Kept

WITH_A_FOLDER = ("--against", "--folder")


class Dispatch(TyperGroup):
    """Takes `bench RECIPE` and `bench ARTIFACT` for what they are, without a verb of their own."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override] # typer names no wider type
        """Put the verb before the arguments where there is none."""
        if args and args[0] not in self.commands and args != ["--help"]:
            args = ["artifact" if _names_an_artifact(args) else "recipe", *args]
        return super().parse_args(ctx, args)


def _names_an_artifact(args: Sequence[str]) -> bool:
    pairs = zip(("", *args), args, strict=False)
    places = [word for before, word in pairs if not word.startswith("-") and before not in WITH_A_FOLDER]
    return any((Path(place) / "manifest.json").is_file() for place in places)


app = typer.Typer(
    cls=Dispatch,
    no_args_is_help=True,
    help="Measure a recipe's or an artifact's latency; compare and take in measurements. "
    "`bench RECIPE` and `bench ARTIFACT` need no further verb; each has --json.",
)


def artifact(
    artifact: Annotated[
        Path, typer.Argument(metavar="ARTIFACT", help="A folder that `build` wrote.", show_default=False)
    ],
    *,
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            metavar="DEVICE",
            help="local, ssh://USER@HOST, adb:SERIAL, ios:ID (on a Mac), a name; may be repeated.",
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="ARTIFACT", help="Another artifact, to take turns with: which is faster?"),
    ] = None,
    processes: Annotated[int | None, typer.Option("--processes", min=1, max=100, help="Fresh processes.")] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=0, help="Of inference of all processes; below 60 is quick.")
    ] = 60.0,
    samples: Annotated[int, typer.Option("--samples", min=44, help="Inferences of all processes, at least.")] = 1024,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of the runtime.")] = 1,
    affinity: Annotated[str | None, typer.Option("--affinity", metavar="CPUS", help="CPUs to stay on: 4,5.")] = None,
    sustained: Annotated[
        bool, typer.Option("--sustained", help="One long process without a rest: what is left when it is hot.")
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", metavar="SOURCE", help="Compute the accuracy there first: a data source.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", metavar="RECIPE", help="The same, with a recipe's data source.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a built artifact on devices (this workstation without --device), with its own runner."""
    from edgedistill.cli.progress import progress_on_terminal

    settings = _settings(
        processes, seconds, samples, threads, _cpus(affinity), pair=against is not None, sustained=sustained
    )
    names = device or ["local"]
    with progress_on_terminal() as progress:
        if against is not None:
            from edgedistill.run.artifact_bench import compare_artifacts

            compared = compare_artifacts(artifact, against, names, settings, progress=progress)
        else:
            from edgedistill.run.artifact_bench import measure_artifact

            chosen = _samples(artifact, data=data, recipe=recipe, progress=progress)
            measured = measure_artifact(artifact, names, settings, samples=chosen, progress=progress)
    if against is not None:
        _show_compared(compared, as_json=as_json)
    else:
        _show_measured(measured, as_json=as_json)


def _settings(
    processes: int | None,
    seconds: float,
    samples: int,
    threads: int,
    affinity: tuple[int, ...] | None,
    *,
    pair: bool,
    sustained: bool,
) -> "Settings":
    from edgedistill.bench.on_device import Settings

    if sustained and (pair or processes not in (None, 1)):
        raise InputError("--sustained", found="more than one process, or --against", wanted="one process alone")
    mode: Literal["burst", "sustained"] = "sustained" if sustained else "burst"
    return Settings(
        processes=processes or (1 if sustained else 6 if pair else 5),
        seconds=seconds,
        samples=samples,
        max_seconds=max(1200.0, 4 * seconds),
        threads=threads,
        affinity=affinity,
        mode=mode,
    )


def _cpus(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise InputError("--affinity", found=f"'{text}'", wanted="numbers of CPUs: 4,5") from error


def _samples(artifact: Path, *, data: str | None, recipe: Path | None, progress: "Progress") -> "Samples | None":
    if data is None and recipe is None:
        return None
    from edgedistill.cli.evaluate import evaluation_samples

    return evaluation_samples(artifact, data=data, recipe=recipe, progress=progress)


def _show_measured(ends: "list[Ended[Kept]]", *, as_json: bool) -> None:
    from edgedistill.bench.measurement import Measurement

    kept = [end.value for end in ends if end.value is not None]
    if as_json:
        document({"measurements": [_as_json(item.found, item.file) for item in kept], "failed": _failed(ends)})
    else:
        _show([item.found for item in kept if isinstance(item.found, Measurement)])
        for item in kept:
            if not isinstance(item.found, Measurement):
                say(f"{item.found.recording.device.name}: rehearsed on an emulated device; its time is no latency")
            say(f"kept: {item.file}")
    _raise_worst(ends)


def _show_compared(ends: "list[Ended[Compared]]", *, as_json: bool) -> None:
    kept = [(end.name, end.value) for end in ends if end.value is not None]
    if as_json:
        listed = [{"device": name, "file": str(item.file), **item.found.model_dump(mode="json")} for name, item in kept]
        document({"comparisons": listed, "failed": _failed(ends)})
    else:
        for name, item in kept:
            found, interval = item.found, _interval(item.found.ratio_ci99)
            verdict = found.verdict if found.verdict == "no difference" else f"the second is {found.verdict}"
            say(f"{name}: {verdict}: ratio {found.ratio:.4f} ({interval})")
            say(f"  {found.first_ms:.4g} ms and {found.second_ms:.4g} ms; {found.processes} processes")
            say(f"kept: {item.file}")
    _raise_worst(ends)


def _as_json(found: "Measurement | Rehearsal", file: Path) -> dict[str, object]:
    return {"file": str(file), **found.model_dump(mode="json", by_alias=True, exclude={"recording": {"processes"}})}


def _failed(ends: "Sequence[Ended[Kept]] | Sequence[Ended[Compared]]") -> list[dict[str, str]]:
    return [{"device": end.name, "error": str(end.error)} for end in ends if end.error is not None]


def _raise_worst(ends: "Sequence[Ended[Kept]] | Sequence[Ended[Compared]]") -> None:
    """End with the gravest error; say the others before."""
    errors = sorted((end.error for end in ends if end.error is not None), key=lambda error: -error.exit_code)
    for error in errors[1:]:
        typer.echo(f"error: {error}", err=True)
    if errors:
        raise errors[0]


def _show(measurements: "Sequence[Measurement]") -> None:
    if not measurements:
        return
    from edgedistill.bench.table import HEADERS, remarks_on, row_of

    table(HEADERS, [row_of(item) for item in measurements])
    for line in dict.fromkeys(line for item in measurements for line in remarks_on(item)):
        say(line)


def compare(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Measurements, or folders of them.", show_default=False)
    ],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show measurements side by side, fastest first, and how each differs from the first one given."""
    from edgedistill.bench.table import difference

    found = _stored(files)
    reference = found[0]
    ordered = sorted(found, key=lambda item: item.analysis.p50_ms or float("inf"))
    if as_json:
        document(
            [
                {
                    **item.model_dump(mode="json", by_alias=True, exclude={"recording": {"processes"}}),
                    "against_first": _difference(difference(reference, item)),
                }
                for item in ordered
            ]
        )
        return
    _show(ordered)
    for item in ordered:
        ratio = None if item is reference else difference(reference, item)
        if ratio is not None:
            interval = (
                "no interval"
                if ratio.interval99 is None
                else "99 % interval {:.4f}\N{EN DASH}{:.4f}".format(*ratio.interval99)
            )
            say(
                f"{item.title} on {item.recording.device.name} against {reference.title} on "
                f"{reference.recording.device.name}: {ratio.verdict}, ratio {ratio.ratio:.4f} ({interval})"
            )
    if len(found) > 1:
        say("these were not measured in turns: `bench ARTIFACT --against ARTIFACT` does that")


def _interval(bounds: tuple[float, float] | None) -> str:
    return "no interval" if bounds is None else f"99 % interval {bounds[0]:.4f}\N{EN DASH}{bounds[1]:.4f}"


def _difference(found: object) -> object:
    return found._asdict() if hasattr(found, "_asdict") else None


def _stored(files: Sequence[Path]) -> "list[Measurement]":
    from edgedistill.bench.measurement import measurement_from_file
    from edgedistill.bench.results import measurements_in

    found: list[Measurement] = []
    for path in files:
        found += [item for _, item in measurements_in(path)] if path.is_dir() else [measurement_from_file(path)]
    if not found:
        raise InputError("bench compare", found="no measurement in those folders", wanted="at least one")
    return found


def take_in(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="What runners printed: files, logs; - is the input.", show_default=False
        ),
    ],
    *,
    run_folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="DIR", help="A run directory whose summary and page show them from then on."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read what phone apps, Jetsons and boards printed, judge it, and keep it with the other measurements."""
    from edgedistill.bench.measurement import Measurement
    from edgedistill.bench.on_device import judged
    from edgedistill.bench.results import keep

    kept = [(item, keep(item)) for path in files for item in map(judged, _recordings(path))]
    measurements = [item for item, _ in kept if isinstance(item, Measurement)]
    if run_folder is not None:
        from edgedistill.cli.stored import stored_summary
        from edgedistill.run.measured import add_to_run

        stored_summary(run_folder)
        for measurement in (item for item in measurements if not item.beside):
            add_to_run(measurement, run_folder)
    if as_json:
        document({"measurements": [_as_json(item, path) for item, path in kept]})
        return
    _show(measurements)
    for item, path in kept:
        say(f"kept: {path}" + ("" if isinstance(item, Measurement) else " (emulated: a rehearsal, no latency)"))


def _recordings(path: Path) -> "Sequence[Recording]":
    import sys

    from edgedistill.bench.reading import recordings_from_file, recordings_from_text

    if str(path) == "-":
        return recordings_from_text(sys.stdin.read(), thing="the input")
    return recordings_from_file(path)


app.command("recipe")(guarded(of_recipe))
app.command("artifact")(guarded(artifact))
app.command("compare")(guarded(compare))
app.command("import")(guarded(take_in))
