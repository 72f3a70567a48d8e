"""The first task of a new house: on a small sample repository, by the scripted agent, shown to its commit."""

import json
import os
import subprocess
from pathlib import Path

from rich.console import Console

from hedgerow.cli.follow import follow_run
from hedgerow.client import Client, ClientError, Credentials

TITLE = "Greet by name"

_FILES = {
    "README.md": "# Sample\n\nA small repository that hedgerow has made to show you a first task.\n",
    "greet.sh": '#!/bin/sh\necho "Hello"\n',
}
_SCRIPT = [
    {"say": "I am the scripted agent: I play the steps that stand in my prompt, so that you see a whole run without an account or a key."},
    {"run": "cat greet.sh"},
    {"write": {"path": "greet.sh", "content": '#!/bin/sh\n# Greets whoever is named, or everybody.\necho "Hello, ${1:-everybody}"\n'}},
    {"run": "sh greet.sh hedgerow"},
    {"say": "greet.sh now greets by name."},
]
_IDENTITY = ("-c", "user.name=hedgerow", "-c", "user.email=hedgerow@localhost", "-c", "commit.gpgsign=false")


def make_sample_repository(data_dir: Path) -> Path:
    """The sample repository in the data directory, with one commit on the branch main. Raises OSError or CalledProcessError."""
    folder = data_dir / "sample-repository"
    if (folder / ".git").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in _FILES.items():
        (folder / name).write_text(text)
    for arguments in (("init", "--quiet", "--initial-branch=main"), ("add", "."), ("commit", "--quiet", "-m", "A greeting")):
        # The operator's own templates and hooks have no say in a sample.
        environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TEMPLATE_DIR": ""}
        subprocess.run(["git", *_IDENTITY, *arguments], cwd=folder, env=environment, check=True, capture_output=True)
    return folder


def run_first_task(credentials: Credentials, sample: Path, console: Console) -> bool:
    """Give the scripted agent its task, show the run until it has ended, and say whether it went well."""
    description = f"Let the greeting of this repository know a name.\n\n```json\n{json.dumps(_SCRIPT, indent=1)}\n```\n"
    try:
        with Client(credentials) as client:
            repository = client.register_repository(clone_url=str(sample))
            task = client.create_task(title=TITLE, description=description, repository=repository.name)
            started = client.run_task(task, runtime_adapter="scripted", model="default", mode="background").latest_run
            assert started is not None
            return follow_run(client, started, console) == 0
    except ClientError as problem:
        console.print(f"The first task could not be run: {problem.message}", soft_wrap=True)
        return False
