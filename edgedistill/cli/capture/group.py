"""The group `edgedistill capture`: its verbs, one a line."""

import typer

from edgedistill.cli.capture.delete import delete
from edgedistill.cli.capture.export import export
from edgedistill.cli.capture.generate import generate
from edgedistill.cli.capture.grade import grade
from edgedistill.cli.capture.grades import app as grades
from edgedistill.cli.capture.import_verb import import_completions
from edgedistill.cli.capture.label import label
from edgedistill.cli.capture.list_verb import list_completions
from edgedistill.cli.capture.prune import prune
from edgedistill.cli.capture.serve import serve
from edgedistill.cli.capture.show import show
from edgedistill.cli.capture.split import split
from edgedistill.cli.capture.stats import stats
from edgedistill.cli.guard import guarded

app = typer.Typer(no_args_is_help=True, help="Record a teacher's real traffic; filter, grade, split and export it.")

app.command("serve")(guarded(serve))
app.command("list")(guarded(list_completions))
app.command("show")(guarded(show))
app.command("stats")(guarded(stats))
app.command("delete")(guarded(delete))
app.command("grade")(guarded(grade))
app.add_typer(grades, name="grades")
app.command("import")(guarded(import_completions))
app.command("export")(guarded(export))
app.command("split")(guarded(split))
app.command("prune")(guarded(prune))
app.command("label")(guarded(label))
app.command("generate")(guarded(generate))
