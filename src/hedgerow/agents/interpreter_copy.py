"""A copy of the running Python that any account can run, wherever the original lies.

A developer's Python often lies in a home folder (pyenv, uv), which a sandbox never sees. The copy holds the program, the standard
library without what no agent server needs, and those shared libraries that are not the system's own.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hedgerow.agents.elf_search_path import search_path, set_search_path
from hedgerow.agents.folder_copy import copy_file, copy_folder, make_folder
from hedgerow.domain.errors import UnavailableError

SYSTEM_FOLDERS = ("/usr/", "/lib/", "/lib64/", "/lib32/", "/bin/", "/sbin/")

_LEFT_OUT = re.compile(
    r"""(.*/)?( test | tests | idlelib | turtledemo | tkinter | ensurepip | lib2to3 | distutils | pydoc_data
    | site-packages | dist-packages | config-[^/]* | _?_?(test|xx)[^/]*\.so | _tkinter[^/]*\.so
    | (site|user)customize\.py | [^/]*\.opt-[12]\.pyc | EXTERNALLY-MANAGED | [^/]*\.a )""",
    re.VERBOSE,
)

_DESCRIBE = """
import importlib, json, os, sys, sysconfig
paths = sysconfig.get_paths()
for name in sorted(os.listdir(os.path.join(paths["platstdlib"], "lib-dynload"))):
    module = name.split(".")[0]
    if not module.startswith(("_test", "_xx", "xx", "_tkinter", "_ctypes_test", "nis", "readline")):
        try:
            importlib.import_module(module)
        except ImportError:
            pass
with open("/proc/self/maps") as maps:
    libraries = sorted({line.split(None, 5)[5].strip() for line in maps if "/" in line and ".so" in line})
print(json.dumps({
    "executable": os.path.realpath(sys.executable), "version": "%d.%d" % sys.version_info[:2], "release": sys.version,
    "library_folder": sys.platlibdir, "standard_library": paths["stdlib"], "platform_library": paths["platstdlib"], "libraries": libraries,
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """An installed Python. `libraries` are all shared objects that it maps once its whole standard library is loaded."""

    executable: Path
    version: str  # 3.11
    release: str
    library_folder: str  # lib or lib64
    standard_library: Path
    platform_library: Path
    libraries: tuple[Path, ...]

    @property
    def foreign_libraries(self) -> tuple[Path, ...]:
        """The shared libraries outside the standard library that no other account may count on."""
        return tuple(
            library
            for library in self.libraries
            if not str(library).startswith(SYSTEM_FOLDERS) and not library.is_relative_to(self.platform_library)
        )


def base_interpreter() -> Path:
    """The program of the running Python; in a virtual environment, that of the Python it was made from."""
    return Path(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))


def describe(interpreter: Path) -> Installation:
    """Ask a Python where it lies and what it loads. Raises UnavailableError where it cannot say."""
    try:
        answer = subprocess.run(
            [str(interpreter), "-I", "-S", "-c", _DESCRIBE], capture_output=True, timeout=60, check=True, stdin=subprocess.DEVNULL
        )
        found = json.loads(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise UnavailableError(f"The Python at {interpreter} cannot be copied for sandboxes: it did not describe itself.") from error
    return Installation(
        executable=Path(found["executable"]),
        version=found["version"],
        release=found["release"],
        library_folder=found["library_folder"],
        standard_library=Path(found["standard_library"]),
        platform_library=Path(found["platform_library"]),
        libraries=tuple(Path(library) for library in found["libraries"]),
    )


def copy_interpreter(installation: Installation, target: Path) -> Path:
    """Lay out `target`/bin/python3 with its library. Returns the program. Raises OSError."""
    library = target / installation.library_folder / f"python{installation.version}"
    for source in dict.fromkeys((installation.standard_library, installation.platform_library)):
        copy_folder(source, library, lambda path: _LEFT_OUT.fullmatch(path) is None)
    program = target / "bin" / "python3"
    copy_file(installation.executable, program)
    libraries = target / "lib"
    for foreign in installation.foreign_libraries:
        copy_file(foreign, libraries / foreign.name)
    make_folder(libraries)
    for binary in (program, *library.glob("lib-dynload/*.so"), *libraries.glob("*.so*")):
        _look_beside(binary, libraries)
    return program


def check_copy(program: Path, target: Path) -> None:
    """Raise UnavailableError unless the copied Python runs and maps nothing but itself and the system's libraries."""
    installation = describe(program)
    strays = [str(each) for each in installation.foreign_libraries if not each.is_relative_to(target.resolve())]
    if strays or not installation.standard_library.is_relative_to(target.resolve()):
        raise UnavailableError(
            f"The Python at {base_interpreter()} cannot be used in sandboxes, since it loads {strays[0] if strays else 'its library'} "
            "by an absolute path; run hedgerow with a Python from uv or from the system."
        )


def _look_beside(binary: Path, libraries: Path) -> None:
    """Let a copied binary look for its libraries in the copy, where it names a folder that a sandbox does not have."""
    path = search_path(binary)
    if path is None or all(part.startswith(("$ORIGIN", *SYSTEM_FOLDERS)) for part in path.split(":")):
        return
    inner = os.path.relpath(libraries, binary.parent)
    set_search_path(binary, "$ORIGIN" if inner == "." else f"$ORIGIN/{inner}")
