"""Runs one script of keys and compares the screens it saves with the ones
beside it.

    run.py BITDIAL MODEL SCRIPT [--update] [bitdial options]

A script NAME.keys saves screens as `:save-screen NAME-what.txt`; the expected
NAME-what.txt lies in the same folder.  To make the expected screens anew after
an intended change, and then to read the difference with `git diff`:

    UPDATE_SCREENS=1 meson test -C BUILD --suite screens
"""
import difflib
import os
import subprocess
import sys
import tempfile


def environment(home):
    """Nothing of the person's own: no session, no configuration."""
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("XDG_", "BITDIAL_", "LC_", "LANG"))}
    env.update(HOME=home, LC_ALL="C.UTF-8", NO_COLOR="1")
    env.pop("TERM", None)
    return env


def compare(got, want, name):
    """One difference as text, or nothing."""
    return "".join(difflib.unified_diff(
        want.splitlines(True), got.splitlines(True),
        "expected/" + name, "got/" + name))


def main():
    update = "--update" in sys.argv or os.environ.get("UPDATE_SCREENS")
    args = [a for a in sys.argv[1:] if a != "--update"]
    bitdial, model, script = (os.path.abspath(a) for a in args[:3])
    folder = os.path.dirname(script)
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        run = subprocess.run(
            [bitdial, model, "--batch", script] + args[3:], cwd=work,
            env=environment(work), capture_output=True, text=True,
            timeout=240)
        # A script says on its first line what status it should end with.
        with open(script, encoding="utf-8") as f:
            first = f.readline()
        want = int(first.split("exit")[1]) if "exit" in first else 0
        if run.returncode != want:
            print(f"status {run.returncode}, expected {want}")
            print(run.stderr)
            failed = 1
        saved = sorted(n for n in os.listdir(work) if n.endswith(".txt"))
        if not saved:
            print("the script saved no screen")
            failed = 1
        for name in saved:
            with open(os.path.join(work, name), encoding="utf-8") as f:
                got = f.read()
            expected = os.path.join(folder, name)
            if update:
                with open(expected, "w", encoding="utf-8") as f:
                    f.write(got)
                continue
            if not os.path.exists(expected):
                print(f"{name}: no expected screen; see run.py's first lines")
                failed = 1
                continue
            with open(expected, encoding="utf-8") as f:
                difference = compare(got, f.read(), name)
            if difference:
                print(difference)
                failed = 1
        print(f"{len(saved)} screens")
    return failed


sys.exit(main())
