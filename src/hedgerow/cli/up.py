"""What `hedgerow up`, `api` and `worker` do, in one loop each."""

import asyncio
import contextlib
import gc
import os
import pwd
import resource
import socket
import subprocess
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rich.console import Console

from hedgerow.app import House, build_api, hold_runs, open_house
from hedgerow.cli.connections import Patience
from hedgerow.cli.program import command_line
from hedgerow.cli.serving import serve, stopped_by_signals
from hedgerow.settings import Settings

_COLLECTED_EVERY = 50_000  # objects made
_MOST_FILES = 65_536


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a command's coroutine to its end, on uvloop."""
    import uvloop

    allow_many_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def allow_many_files() -> None:
    """Let this process open as many files as the system lets it: each run that a worker holds takes three of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # some systems have a lower bound of their own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _warn_where_nothing_is_isolated(settings: Settings, console: Console) -> None:
    """Say what agents can read where the operator has chosen to run them without a sandbox's walls."""
    if settings.sandbox == "process":
        account = _account()
        console.print(
            f"Sandboxes are bare processes: agents run as {account}, and can read and change whatever {account} can.", soft_wrap=True
        )


def _account() -> str:
    """The name of this account, or its number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"account {os.geteuid()}"


async def up(settings: Settings, listener: socket.socket, console: Console) -> None:
    """API, worker and, on an empty database, the first task."""
    _warn_where_nothing_is_isolated(settings, console)
    stop, api_serves, worker_serves = asyncio.Event(), asyncio.Event(), asyncio.Event()
    with stopped_by_signals(stop):
        async with open_house(settings, url=_url(settings, listener), allow_local_repositories=settings.on_loopback) as house:
            await together(
                stop,
                serve(build_api(house), listener, stop, api_serves.set, _patience(settings)),
                hold_runs(house, stop, lambda _works: worker_serves.set()),
                _introduce(house, console, stop, api_serves, worker_serves),
            )


async def api(settings: Settings, listener: socket.socket, console: Console) -> None:
    """The API alone."""
    stop = asyncio.Event()
    with stopped_by_signals(stop):
        async with open_house(settings, url=_url(settings, listener)) as house:
            await serve(build_api(house), listener, stop, lambda: _say_ready(house, console), _patience(settings))


def _patience(settings: Settings) -> Patience:
    return Patience(reader_seconds=settings.reader_stall_seconds, sender_seconds=settings.sender_stall_seconds)


async def worker(settings: Settings, console: Console) -> None:
    """A worker alone."""
    _warn_where_nothing_is_isolated(settings, console)
    stop = asyncio.Event()

    def say(works: bool) -> None:
        console.print("ready" if works else f"ready, standing by: another worker holds the runs of {settings.data_dir}", soft_wrap=True)

    with stopped_by_signals(stop):
        async with open_house(settings, url=settings.public_url, may_begin=False) as house:
            await hold_runs(house, stop, say)


async def together(stop: asyncio.Event, *parts: Coroutine[Any, Any, None]) -> None:
    """Run parts until the last has ended; `stop` is set as soon as one fails, and its error is raised once all have ended."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    for task in tasks:
        task.add_done_callback(lambda done: stop.set() if not done.cancelled() and done.exception() else None)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _url(settings: Settings, listener: socket.socket) -> str:
    return settings.model_copy(update={"port": listener.getsockname()[1]}).local_url


def _say_ready(house: House, console: Console) -> None:
    house.note_address()
    console.print(f"hedgerow is ready at {house.url}", soft_wrap=True)
    # One list of tasks makes tens of thousands of objects, hardly any of them in a circle: collections would take a fifth of its time.
    gc.set_threshold(_COLLECTED_EVERY, 20, 20)
    gc.freeze()  # what stands by now stays, and is not looked through again


async def _introduce(house: House, console: Console, stop: asyncio.Event, api_serves: asyncio.Event, worker_serves: asyncio.Event) -> None:
    """Once all is there, say so; then the first task where nothing was there before, and what to type next."""
    if not await _unless(stop, api_serves.wait()) or not await _unless(stop, worker_serves.wait()):
        return
    _say_ready(house, console)
    repository = "."
    if house.first_key is not None and house.settings.first_task:
        sample = await _first_task(house, console, stop)
        if stop.is_set():
            return
        repository = str(sample or repository)
    _say_what_next(repository, console)


async def _first_task(house: House, console: Console, stop: asyncio.Event) -> Path | None:
    from hedgerow.cli.first_task import make_sample_repository, run_first_task
    from hedgerow.client import Credentials

    first = house.first_key
    assert first is not None
    try:
        sample = await asyncio.to_thread(make_sample_repository, house.settings.data_dir)
    except (OSError, subprocess.CalledProcessError) as problem:
        console.print(f"There is no first task, since git could not make a sample repository: {problem}.", soft_wrap=True)
        return None
    console.print("\nA first task, so that you see one:\n")
    credentials = Credentials(house.url, first.value, str(first.project.id))
    await _unless(stop, in_daemon_thread(lambda: run_first_task(credentials, sample, console)))
    console.show_cursor(True)  # which is hidden where the first task was left in its middle
    return sample


async def in_daemon_thread(work: Callable[[], object]) -> None:
    """Run something blocking that must not keep the process from ending."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def run_and_tell() -> None:
        try:
            work()
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run_and_tell, name="first task", daemon=True).start()
    await done.wait()


async def _unless(stop: asyncio.Event, wanted: Coroutine[Any, Any, object]) -> bool:
    """Wait for something; False where `stop` comes first."""
    waiting, stopping = asyncio.ensure_future(wanted), asyncio.create_task(stop.wait())
    await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    waiting.cancel()
    return not stop.is_set()


def _say_what_next(repository: str, console: Console) -> None:
    """Commands as they can be typed in another terminal that stands in the same folder."""
    console.print("\nWhat to type next, in another terminal:\n")
    for arguments in (("run", "Add a line to the README", "--repo", repository), ("task", "list"), ("run", "--help")):
        console.print(f"  {command_line(*arguments)}", soft_wrap=True)
    console.print("\nCtrl-C stops hedgerow; what runs is taken up again at the next start.", soft_wrap=True)
