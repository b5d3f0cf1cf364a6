"""A model that another environment serves, as its authors would write it; each word makes one fault."""

import os
import subprocess
import sys
import time

from serve import serve

print("loading a network, says an old library")
FAULT = sys.argv[1] if len(sys.argv) > 1 else ""
DARK = 0.5


def predict(images, masks):
    print("at work on", len(images))
    sys.stdout.flush()
    os.write(1, b"\xff from C\n")
    subprocess.call([sys.executable, "-c", "print('from a child')"]) if FAULT == "prints" else None
    if FAULT and masks.mean() > DARK:
        misbehave(images)
    if FAULT == "halves":
        return images[..., ::2]
    return images * (1 - masks) + 0.5 * masks


def misbehave(images):
    if FAULT == "exits":
        print("no more memory, says the model", file=sys.stderr)
        os._exit(3)
    if FAULT == "raises":
        raise RuntimeError("too much is missing")
    if FAULT == "hangs":
        time.sleep(1000)


serve(predict, name="Old model", weights=[__file__])
