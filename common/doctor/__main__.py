"""Command line of the doctor: what is here, then a line for everything that is wrong; exit status 1 if anything is."""

import click

from common.output import outlive_readers, say


@click.command()
def main() -> None:
    """Print what this machine has for training, and what is wrong with it."""
    outlive_readers()
    from common.doctor.found import look
    from common.doctor.judge import problems
    from common.doctor.lines import report

    found = look()
    say(report(found))
    if problems(found):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
