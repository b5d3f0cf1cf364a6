"""A stand-in for docker: images are folders, containers are processes that do not end with the client.

`docker build -t NAME DIR` follows COPY and ENTRYPOINT; `docker run -i --rm [...] NAME` starts a copy of the folder.
As with docker, a process of its own (here an orphan) holds the container, to which the client only passes bytes.
"""

import json
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path

IMAGES = Path(os.environ["DOCKER_STANDIN"])
WITH_VALUE = {"--log-driver", "--gpus", "-v", "--name"}
ALONE = {"-i", "--rm", "--init"}


def build(flag, name, folder):
    assert flag == "-t"
    image = IMAGES / name
    (image / "work").mkdir(parents=True)
    for line in (Path(folder) / "Dockerfile").read_text().splitlines():
        word, _, rest = line.partition(" ")
        if word == "COPY":
            for file in rest.split()[:-1]:
                shutil.copy(Path(folder) / file, image / "work")
        elif word == "ENTRYPOINT":
            (image / "entrypoint.json").write_text(rest)
        else:
            assert word in ("FROM", "RUN", "WORKDIR", "#"), line


def run(*words):
    options, words = [], list(words)
    while words[0].startswith("-"):
        options.append(words.pop(0))
        assert options[-1] in WITH_VALUE | ALONE, options[-1]
        if options[-1] in WITH_VALUE:
            words.pop(0)
    assert {"-i", "--rm"} <= {*options}
    image = IMAGES / words[0]
    place = Path(shutil.copytree(image / "work", Path(tempfile.mkdtemp(dir=IMAGES.parent)) / "work"))
    requests, answers, status = os.pipe(), os.pipe(), os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            hold(place, json.loads((image / "entrypoint.json").read_text()), requests, answers, status)
        os._exit(0)
    os.wait()
    for end in (requests[0], answers[1], status[1]):
        os.close(end)
    threading.Thread(target=pump, args=(0, requests[1]), daemon=True).start()
    pump(answers[0], 1)
    os._exit(int(os.read(status[0], 8) or b"125"))


def hold(place, entrypoint, requests, answers, status):
    """The container's process, whose end is told to the client."""
    child = os.fork()
    if child == 0:
        os.dup2(requests[0], 0)
        os.dup2(answers[1], 1)
        os.chdir(place)
        (place.parent / "pid").write_text(str(os.getpid()))
        os.execv(sys.executable, [sys.executable, *entrypoint[1:]])
    for end in (*requests, *answers):
        os.close(end)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(status[1], str(code % 256).encode())
    os._exit(0)


def pump(source, target):
    while part := os.read(source, 1 << 16):
        while part:
            part = part[os.write(target, part) :]
    os.close(target)


{"build": build, "run": run}[sys.argv[1]](*sys.argv[2:])
