"""The house rules as a test: who may include whom, how long functions and
files may be, no mutable file-scope variables, no typedef of structs.

Usage: layers.py SOURCE_ROOT        exit 1 and one line per breach
"""
import os
import re
import statistics
import sys

# A folder may include its own headers and those of lower levels only.
LEVEL = {
    "base": 0,
    "tensor": 1, "job": 1, "plot": 1,
    "kernel": 2, "quant": 2, "model": 2, "data": 2,
    "graph": 3, "calib": 3, "config": 3,
    "metrics": 4,
    "ib": 5, "train": 5, "bitalloc": 5, "sens": 5, "feature": 5, "repair": 5,
    "session": 6,
    "cli": 7,
}
MAX_FILE = 600
MAX_FUNCTION = 80
MAX_PARAMETERS = 5
MEDIAN, P95 = 15, 45
# Wide by agreement, where a struct would only rename the same pure inputs.
WIDE_ALLOWED = {
    # kernels: arrays, extents, scratch
    "bd_conv_backward", "bd_bn_forward", "bd_bn_backward", "ref_conv",
    "best_conv", "bd_eval_logits",
    # two results at once
    "bd_session_now_eval",
    # one node, one architecture, one picture: each argument once
    "bd_build_node", "bd_arch_new", "bd_data_fetch",
    # drawing: canvas, rectangle, x, y, role, what
    "wg_text", "wg_textf", "wg_char", "wg_tabs_draw"}

problems = []


def complain(path, line, text):
    problems.append(f"{path}:{line}: {text}")


def check_includes(path, lines):
    parts = path.split(os.sep)
    for i, text in enumerate(lines, 1):
        m = re.match(r'#include\s+([<"])([^>"]+)[>"]', text)
        if not m:
            continue
        what = m.group(2)
        if "curses" in what and parts[0] != "widgets":
            complain(path, i, f"{what} belongs to widgets")
        if m.group(1) == "<":
            continue
        target = what.split("/")[0] if "/" in what else None
        if parts[0] == "widgets" and target in LEVEL:
            complain(path, i, f"widgets must not know {what}")
        if parts[0] != "engine" or target not in LEVEL:
            continue
        here = parts[1]
        if target == here:
            continue
        if LEVEL[target] >= LEVEL[here]:
            complain(path, i, f"{here} may not include {what}")
        if what != f"{target}/{target}.h":
            complain(path, i, f"{what} is private to {target}")


def functions(lines):
    """Yields (name, first line, length, parameters) of every definition: the
    style puts the braces of a function in the first column."""
    for i, text in enumerate(lines):
        if text != "{":
            continue
        head, k = "", i - 1
        while k >= 0 and lines[k] and not lines[k].startswith(("#", "}", "/*",
                                                               " *")):
            head = lines[k].strip() + " " + head
            k -= 1
        m = re.search(r"(\w+)\s*\((.*)\)", head)
        end = next((j for j in range(i, len(lines)) if lines[j] == "}"), None)
        if m and end:
            inner = re.sub(r"\([^()]*\)", "", m.group(2))
            count = 0 if inner.strip() in ("", "void") else \
                inner.count(",") + 1
            yield m.group(1), i + 1, end - i + 1, count


def check_globals(path, lines):
    if path == os.path.join("tui", "main.c"):
        return
    for i, text in enumerate(lines, 1):
        if re.match(r"(static\s+)?(_Thread_local|thread_local)\b", text) or (
                re.match(r"\s*static\s", text) and "const" not in text and
                "(" not in text and re.search(r"[=;\[]", text) and
                "inline" not in text):
            complain(path, i, "a mutable variable outside any function")
        if re.match(r"typedef\s+struct", text):
            complain(path, i, "structs carry no typedef")


def main():
    root = sys.argv[1]
    lengths = []
    for top in ("engine", "widgets", "tui"):
        for folder, _, names in sorted(os.walk(os.path.join(root, top))):
            for name in sorted(names):
                if not name.endswith((".c", ".h")):
                    continue
                full = os.path.join(folder, name)
                path = os.path.relpath(full, root)
                with open(full, encoding="utf-8") as f:
                    lines = f.read().split("\n")
                if len(lines) - 1 > MAX_FILE:
                    complain(path, 1, f"{len(lines) - 1} lines, at most "
                                      f"{MAX_FILE}")
                check_includes(path, lines)
                check_globals(path, lines)
                for i, text in enumerate(lines, 1):
                    if len(text) > 80:
                        complain(path, i, f"{len(text)} columns, at most 80")
                for fn, at, n, params in functions(lines):
                    lengths.append(n)
                    if n > MAX_FUNCTION:
                        complain(path, at, f"{fn} has {n} lines, at most "
                                           f"{MAX_FUNCTION}")
                    if params > MAX_PARAMETERS and fn not in WIDE_ALLOWED:
                        complain(path, at, f"{fn} takes {params} parameters, "
                                           f"at most {MAX_PARAMETERS}")
    lengths.sort()
    median = statistics.median(lengths)
    p95 = lengths[int(len(lengths) * 0.95)]
    print(f"{len(lengths)} functions, lines: median {median}, "
          f"95 % within {p95}, longest {lengths[-1]}")
    if median > MEDIAN:
        complain("engine", 0, f"median function {median} lines, bar {MEDIAN}")
    if p95 > P95:
        complain("engine", 0, f"95th percentile {p95} lines, bar {P95}")
    for p in problems:
        print(p)
    return 1 if problems else 0


sys.exit(main())
