"""What the commands of all three stages share: error printing and the options every command takes."""

from typing import Any

import click

from common.errors import UserError


class Commands(click.Group):
    """A click group that turns a `UserError` into one line and exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            refusal = click.ClickException(str(error))
            refusal.exit_code = 2
            raise refusal from error
