"""A process that has imported PyTorch once, and forks itself for each Python program.

What a program imports of NumPy and torch is there already, which saves two to four seconds of
processor time; it imports everything else itself. It gets the arguments, variables, folder, umask
and streams of the one who asks, and the packages of the Python that it asks for. It is not for
tests of how a process starts, of what it imports, of its limits or of signals.

    python -I -S fork_server.py serve FD                      FD: a socket that listens
    python -I -S fork_server.py ask SOCKET PYTHON -m arbench  runs it, and ends as it did
"""

from __future__ import annotations

import json
import os
import socket
import sys

IMPORTED = ("numpy", "torch", "torch._dynamo")


def ask(address: str, python: str, *arguments: str) -> int:
    """Have a Python run `-c CODE` or `-m MODULE` in a fork; returns its exit status."""
    if arguments[:1] not in (("-c",), ("-m",)):
        os.execv(python, [python, *arguments])
    umask = os.umask(0)
    asked = json.dumps([python, arguments, dict(os.environ), os.getcwd(), umask]).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [len(asked).to_bytes(8, "big")], [0, 1, 2])
        connection.sendall(asked)
        return int(connection.makefile().read())


def serve(listener: socket.socket) -> None:
    """Fork for everybody who asks, until stdin ends."""
    library = [*sys.path]  # that of Python alone: no site is known yet
    find_packages(library)
    import gc
    from multiprocessing import connection, get_context

    for name in IMPORTED:
        __import__(name)
    gc.freeze()  # the collector of a fork would copy every page that it looks at
    running = {}
    while True:
        sentinels = {process.sentinel: asker for asker, process in running.items()}
        ready = connection.wait([listener, sys.stdin, *running, *sentinels])
        if sys.stdin in ready:
            return
        for asker, process in [*running.items()]:
            if process.sentinel in ready:
                process.join()
                status = process.exitcode or 0
                asker.sendall(str(status if status >= 0 else 128 - status).encode())
            elif asker in ready:  # nobody waits for it any more
                process.kill()
                process.join()
            else:
                continue
            running.pop(asker).close()
            asker.shutdown(socket.SHUT_RDWR)  # forks since then have a copy of it
            asker.close()
        if listener in ready:
            asker, _ = listener.accept()
            length, streams, *_ = socket.recv_fds(asker, 8, 3)
            with asker.makefile("rb") as file:
                asked = json.loads(file.read(int.from_bytes(length, "big")))
            running[asker] = get_context("fork").Process(
                target=become, args=(library, streams, *asked)
            )
            running[asker].start()
            for stream in streams:
                os.close(stream)


def become(
    library: list[str],
    streams: list[int],
    python: str,
    arguments: list[str],
    variables: dict[str, str],
    folder: str,
    umask: int,
) -> None:
    """Be in this process what was asked for."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(number, mode, buffering, own.encoding, own.errors, closefd=False)
        for number, (mode, buffering, own) in enumerate(
            [("r", -1, sys.__stdin__), ("w", -1, sys.__stdout__), ("w", 1, sys.__stderr__)]
        )
    )
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    os.umask(umask)
    sys.executable = python
    find_packages([*filter(None, variables.get("PYTHONPATH", "").split(os.pathsep)), *library])
    run(*arguments)


def find_packages(library: list[str]) -> None:
    """Let this process find the packages that its executable does."""
    import importlib
    import site

    sys.path[:] = library
    # What the server's own site says of packages that are installed to be edited.
    sys.meta_path[:] = [finder for finder in sys.meta_path if "__editable__" not in str(finder)]
    for name in [name for name in sys.modules if name.startswith("__editable__")]:
        del sys.modules[name]
    site.main()
    importlib.invalidate_caches()


def run(kind: str, what: str, *rest: str) -> None:
    """Run `-c CODE` or `-m MODULE` as the main program, as Python itself does."""
    import runpy
    import types

    if kind == "-m":
        sys.argv = [what, *rest]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [kind, *rest]
        sys.path.insert(0, "")
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), main.__dict__)


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        sys.exit(ask(*sys.argv[2:]))
    serve(socket.socket(fileno=int(sys.argv[2])))
