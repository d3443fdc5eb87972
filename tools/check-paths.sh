#!/usr/bin/env python3
"""Fails if a document names a path that does not exist in this repository.

    tools/check-paths.sh

Reads ARCHITECTURE.md, CONTRIBUTING.md, README.md and docs/*.md. Text in backticks outside code
blocks counts as a repository path if it contains a slash and begins with a top-level folder of the
repository. Prints one line for each missing path: file, line and path.
"""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent
folders = "app|docs|end2end|frontend|public|server|style|tools|authority|domain|\\.ci|\\.cargo|\\.sqlx"
path = re.compile(rf"(?:{folders})/[\w./+-]*")
# The documents shorten the paths of the two nested crates.
short = {"authority": "server/authority", "domain": "app/domain"}

documents = [root / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "README.md")]
documents += sorted((root / "docs").glob("*.md"))
missing = named = 0
for document in filter(pathlib.Path.exists, documents):
    in_block = False
    for number, line in enumerate(document.read_text().split("\n"), 1):
        if re.match(r"\s*(```|~~~)", line):
            in_block = not in_block
            continue
        if in_block:
            continue
        for text in re.findall(r"`([^`]+)`", line):
            if not path.fullmatch(text):
                continue
            named += 1
            first, rest = text.split("/", 1)
            if not (root / short.get(first, first) / rest).exists():
                missing += 1
                print(f"{document.relative_to(root)}:{number}: {text} does not exist")
print(f"{named} paths, {missing} missing")
sys.exit(1 if missing else 0)
