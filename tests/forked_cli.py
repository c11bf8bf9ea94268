"""`symfed` in processes that are forked from one that has loaded it, so that a page of many commands costs one start.

``serve`` is that process; ``run`` stands for the command itself, with its folder, variables, files, signals and exit
code.  They find each other by the path of a socket.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def serve(path):
    """Load the tool, and run it for everybody who asks."""
    from sklearn_symfed.cli import _app, main

    assert _app.app is not None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _attend(connection, main)
                os._exit(0)
            connection.close()


def _attend(connection, main):
    """Fork a process that does what was asked; tell its number, and its exit code when it has ended."""
    data, files, *_ = socket.recv_fds(connection, 1 << 20, 3)
    worker = os.fork()
    if worker == 0:
        _work(json.loads(data), files, main)
    connection.sendall(f"{worker}\n".encode())
    connection.sendall(f"{os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])}\n".encode())


def _work(asked, files, main):
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["variables"])
    sys.argv = ["symfed", *asked["arguments"]]
    code = 1
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def run(path, arguments):
    """Ask for a run, hand on SIGTERM, and end as it ends."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(path)
        asked = {"arguments": arguments, "folder": os.getcwd(), "variables": dict(os.environ)}  # noqa: PTH109
        socket.send_fds(server, [json.dumps(asked).encode()], [0, 1, 2])
        with server.makefile() as told:
            worker = int(told.readline())
            signal.signal(signal.SIGTERM, lambda *_: os.kill(worker, signal.SIGTERM))
            sys.exit(int(told.readline()))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    run(sys.argv[1], sys.argv[2:])
