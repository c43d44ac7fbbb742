"""The issue's promise, in keys: from 3 bits everywhere to a configuration of
at most the same stored size with measurably higher top-1, in fewer than 40
keystrokes.

Usage: story.py BITDIAL KEYS MARGIN MODEL [OPTIONS]

KEYS is a batch script that leaves before.json and after.json.  MARGIN is in
points of top-1, on the images of OPTIONS.  What a person would type is
counted as script.c reads it: <Name> and Ctrl-X are one key, other words one
per letter; commands that only wait, or write files for this test, are not
keys.  A model or data in "$BITDIAL_DATA/..." is skipped without that
variable.
"""
import json
import os
import re
import subprocess
import sys
import tempfile


def keys_of(path):
    count = 0
    with open(path, encoding="utf-8") as f:
        for line in f:
            if line.startswith("#"):
                continue
            for word in line.split():
                if word.startswith(":") and len(word) > 1:
                    assert word in (":wait", ":export"), word
                    break
                if re.fullmatch(r"Ctrl-.", word):
                    count += 1
                else:
                    count += len(re.findall(r"<[^<>\s]+>|.", word))
    return count


def metrics(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as f:
        return json.load(f)["metrics"]


def main():
    bitdial, script, margin = sys.argv[1], sys.argv[2], float(sys.argv[3])
    rest = sys.argv[4:]
    if any("$BITDIAL_DATA" in a for a in rest):
        if not os.environ.get("BITDIAL_DATA"):
            print("BITDIAL_DATA is not set: the real network is skipped")
            return 77
        rest = [os.path.expandvars(a) for a in rest]
    with tempfile.TemporaryDirectory() as work:
        env = dict(os.environ, XDG_STATE_HOME=work, XDG_CONFIG_HOME=work,
                   XDG_CACHE_HOME=work)
        run = subprocess.run(
            [os.path.abspath(bitdial), "--batch", os.path.abspath(script)] +
            rest, cwd=work, env=env, capture_output=True, text=True)
        if run.returncode != 0:
            print(run.stderr)
            return 1
        before, after = (metrics(work, n) for n in ("before.json",
                                                    "after.json"))
    keys = keys_of(script)
    gain = 100 * (after["top1"] - before["top1"])
    print(f"{keys} keys: {before['size_bytes']} bytes, top-1 "
          f"{100 * before['top1']:.2f} -> {after['size_bytes']} bytes, top-1 "
          f"{100 * after['top1']:.2f} on {after['images']} images")
    failed = 0
    for good, what in ((keys < 40, "fewer than 40 keys"),
                       (after["size_bytes"] <= before["size_bytes"],
                        "no more bytes"),
                       (before["images"] == after["images"], "same images"),
                       (gain >= margin, f"{margin} points gained")):
        if not good:
            print(f"not so: {what}")
            failed = 1
    return failed


sys.exit(main())
