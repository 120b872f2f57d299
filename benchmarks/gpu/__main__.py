"""`make gpu-check`: exit status 1 where a row is BAD. See the package's docstring."""

import datetime
import tempfile
from pathlib import Path

import click

from benchmarks.gpu.finding import summary
from benchmarks.gpu.machine import describe_machine
from benchmarks.gpu.rows import ROWS, Row
from benchmarks.gpu.runner import Outcome, run_row
from benchmarks.gpu.table import file_name, table


@click.command()
@click.option("--rows", "names", multiple=True, help="Names of rows, in quotes or one an option; else all of them.")
@click.option("--list", "only_list", is_flag=True, help="Print the rows, and do nothing.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the table and of each row's; else a fresh one.")
def main(names: tuple[str, ...], only_list: bool, device: str, out: Path | None) -> None:
    """What only a GPU can prove, proved on this machine, and on a CPU as far as that goes."""
    if only_list:
        for row in ROWS:
            click.echo(f"{row.name:12} {row.minutes:4g} min  {row.what}")
        click.echo(f"together  {sum(row.minutes for row in ROWS):4g} min at most")
        return
    chosen = choose(names)
    folder = (out or Path(tempfile.mkdtemp(prefix="gpu-check-"))).absolute()
    machine = describe_machine()
    outcomes = []
    for row in chosen:
        click.echo(f"== {row.name}: {row.what} (at most {row.minutes:g} min)")
        outcomes.append(run_row(row, folder / row.name, device))
        show(outcomes[-1])
    findings = [finding for outcome in outcomes for finding in outcome.findings]
    today = datetime.date.today()
    path = folder / file_name(machine, today)
    path.write_text(table(machine, today, outcomes))
    click.echo(f"{summary(findings)}\ntable, for docs/results/: {path}")
    raise SystemExit(any(finding.verdict == "BAD" for finding in findings))


def choose(names: tuple[str, ...]) -> list[Row]:
    """The rows of these names, in the order of the list; all for none. Raises click.BadParameter for an unknown one."""
    wanted = {word for text in names for word in text.split()}
    known = {row.name for row in ROWS}
    if unknown := sorted(wanted - known):
        raise click.BadParameter(f"{', '.join(unknown)}: the rows are {', '.join(row.name for row in ROWS)}")
    return [row for row in ROWS if row.name in (wanted or known)]


def show(outcome: Outcome) -> None:
    """A line for each finding, and where the output is of a row that went wrong."""
    for finding in outcome.findings:
        click.echo(finding.line())
    if any(finding.verdict == "BAD" for finding in outcome.findings):
        click.echo(f"   its output: {outcome.output}")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.gpu")
