"""What the commands of `hedgerow admin` have in common: options, and how one thing is done and told."""

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer

from hedgerow.cli.safe_text import safe

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Project = Annotated[int, typer.Option(help="The project's id.", show_default=False)]
Email = Annotated[str, typer.Option(help="The person's address.", show_default=False)]


def do(work: Callable[[Any], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Open the house, do one thing in it and close it again."""
    import asyncio

    from hedgerow.app import open_house
    from hedgerow.cli.operator import read_settings

    settings = read_settings()

    async def opened() -> dict[str, Any]:
        async with open_house(settings) as house:
            return await work(house.backends)

    return asyncio.run(opened())


def say(made: dict[str, Any], as_json: bool, sentence: str) -> None:
    """Tell what was made: as JSON, or in a sentence, in which nothing of others reaches the terminal but as text."""
    print(json.dumps(made) if as_json else safe(sentence.format(**made)))
