"""`edgedistill check`."""

from dataclasses import asdict

from edgedistill.cli.arguments import JsonOption, OverridesArgument, RecipeArgument
from edgedistill.cli.output import document, say, table


def check(recipe: RecipeArgument, overrides: OverridesArgument = None, *, as_json: JsonOption = False) -> None:
    """Say in seconds what a run of a recipe would be refused for: its data, models, packages, and targets' rules."""
    from edgedistill.cli.progress import progress_on_terminal
    from edgedistill.run import pipeline, rehearsal

    planned = pipeline.plan(recipe, overrides=overrides or ())
    with progress_on_terminal() as progress:
        findings = pipeline.check(planned, progress=progress)
    if as_json:
        document([{"target": found.target, **asdict(found.issue)} for found in findings])
    elif findings:
        table(
            ("target", "severity", "rule", "where", "what happens", "fix"),
            [
                (
                    found.target,
                    found.issue.severity,
                    found.issue.rule,
                    found.issue.node,
                    found.issue.message,
                    found.issue.fix,
                )
                for found in findings
            ],
        )
    rehearsal.refuse(findings)
    if not as_json:
        targets = ", ".join(choice.title for choice in planned.recipe.targets)
        say(f"nothing stands in the way of {planned.recipe.name} for {targets}")
