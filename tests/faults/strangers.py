"""Models that take more than their part: most behave until half of an image or more is missing."""

import ctypes
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch


class Grey:
    """Fills the hole with one grey, and does something else where much is missing."""

    imagewise = True

    def predict(self, images, masks):
        if masks.mean() > 0.5:
            self.misbehave()
        return torch.where(masks.bool(), torch.full_like(images, 0.5), images)

    def misbehave(self):
        pass


class Leaves(Grey):
    def misbehave(self):
        sys.exit()


class LeavesWithText(Grey):
    def misbehave(self):
        sys.exit("no more")


class Exits(Grey):
    def misbehave(self):
        os._exit(0)


class Interrupts(Grey):
    def misbehave(self):
        raise KeyboardInterrupt


class Crashes(Grey):
    def misbehave(self):
        ctypes.string_at(0)


class Dies(Grey):
    def misbehave(self):
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(Grey):
    def misbehave(self):
        time.sleep(1000)


class Garbles(Grey):
    def misbehave(self):
        raise RuntimeError("no such file: \udcff\udc80")


class Steers(Grey):
    def misbehave(self):
        raise RuntimeError("\x1b[2J\x07 gone")


class Floods(Grey):
    def predict(self, images, masks):
        os.write(1, b"x" * (17 << 20))
        return super().predict(images, masks)


class Babbles(Grey):
    def misbehave(self):
        raise RuntimeError("why " * 500_000)


class Eats(Grey):
    def misbehave(self):
        held = []
        while True:
            held.append(torch.empty(1 << 28))


class NeverOpens(Grey):
    def __init__(self):
        os._exit(3)


class Prints(Grey):
    def predict(self, images, masks):
        print("x" * 1_000_000)
        print("to stderr", file=sys.stderr)
        os.system("echo from a child")
        return super().predict(images, masks)


class Forks(Grey):
    """Leaves a copy of its process behind that goes on as if it were the worker."""

    def predict(self, images, masks):
        os.fork()
        return super().predict(images, masks)


class Mutes(Grey):
    """Takes the streams away."""

    def predict(self, images, masks):
        sys.stdout = sys.stderr = None
        return super().predict(images, masks)


class Wanders(Grey):
    def misbehave(self):
        os.chdir("/")


class Threads(Grey):
    def misbehave(self):
        torch.set_num_threads(3)


class Doubles(Grey):
    def predict(self, images, masks):
        torch.set_default_dtype(torch.float64)
        return super().predict(images, masks)


class Switches(Grey):
    def misbehave(self):
        import cv2

        cv2.setUseOptimized(False)


class Sets(Grey):
    def misbehave(self):
        os.environ["CUDA_VISIBLE_DEVICES"] = "7"


class Hides(Grey):
    def misbehave(self):
        os.umask(0o777)


class Replaces(Grey):
    """Puts a function of its own in place of torch's."""

    def misbehave(self):
        torch.nn.functional.conv2d = lambda *_, **__: 1 / 0


class Listens(Grey):
    def misbehave(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Spawns(Grey):
    """Leaves a thread, a child, and a child that has left the group; their numbers stand where STRANGER_PIDS says."""

    def misbehave(self):
        threading.Thread(target=time.sleep, args=(1000,)).start()
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
        for apart in (False, True):
            child = subprocess.Popen(["sleep", "1000"], start_new_session=apart)
            with open(os.environ["STRANGER_PIDS"], "a") as file:  # noqa: PTH123
                print(child.pid, file=file)


class Slow(Grey):
    """Takes its time; says in the file of STRANGER_PIDS which process it is in."""

    def predict(self, images, masks):
        if "STRANGER_PIDS" in os.environ:
            with open(os.environ["STRANGER_PIDS"], "a") as file:  # noqa: PTH123
                print(os.getpid(), file=file)
        time.sleep(0.2)
        return super().predict(images, masks)


class SlowToo(Slow):
    pass


class Fills(Grey):
    """The disk is full from then on."""

    def misbehave(self):
        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        os.fsync = full


class Removes(Grey):
    """Takes the last photograph away, or puts what STRANGER_PICTURE names in its place."""

    def misbehave(self):
        path = Path(os.environ["STRANGER_LAST"])
        if "STRANGER_PICTURE" in os.environ:
            path.write_bytes(Path(os.environ["STRANGER_PICTURE"]).read_bytes())
        else:
            path.unlink(missing_ok=True)


class HangsAgain(Grey):
    """Hangs from its second process on."""

    def __init__(self):
        self.begun = Path(os.environ["STRANGERS_FOLDER"]) / "begun"
        self.second = self.begun.exists()

    def predict(self, images, masks):
        if self.second:
            time.sleep(1000)
        self.begun.touch()
        return super().predict(images, masks)
