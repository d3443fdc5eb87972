#!/usr/bin/env python3
"""Fails when a module of a crate imports from a layer above its own.

    tools/check-imports.py [--self-test]

tools/layers.toml lists, for each crate, its top-level modules in layers, from the top to the bottom.
A module may import from its own layer and from all layers below. The modules of one layer must not
import each other in a circle, unless the crate has `cycles = true`. Each line of output is a mistake:

    server/src/http/body.rs:37: http imports console, which is in a layer above
        Move what both modules need into a layer below, or pass it in from above.
    server/src/a.rs:3: a imports b, which leads back to a
        The same. Each import of the circle has such a line.
    server/src/a.rs:7: Tenant::authorised( may be used in access only
        A rule in the crate's `only` table: the text, and the modules that may contain it.
    server: new_module is in no layer (name it in layers.toml)

An import is a path that begins with `crate::`, or with enough `super::` to reach another top-level
module, in a `use` or anywhere else in the code. A name that the crate's root re-exports counts as
an import of the module that defines it. Comments, strings and everything below `#[cfg(test)]` are
ignored, and the root itself may import all modules.
"""
import pathlib
import re
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOT_CODE = re.compile(
    r"//[^\n]*|/\*.*?\*/|\bb?r(#*)\".*?\"\1|b?\"(?:\\.|[^\"\\])*\"|'(?:\\[^\n]+?|[^'\\\n])'", re.S)
TEST = re.compile(r"#\[cfg\((?:all\()?test\b")
BLANK = re.compile(r"[^\n]")
PATH = re.compile(r"\b(crate|super(?:\s*::\s*super)*)\s*::\s*")


def end_of(code, start):
    """Returns the end of the item or group that begins here: behind its `;` or closing bracket."""
    depth = 0
    for at in range(start, len(code)):
        depth += {"{": 1, "(": 1, "[": 1, "}": -1, ")": -1, "]": -1}.get(code[at], 0)
        if depth < 0 or depth == 0 and code[at] in ";}":
            return at + (depth == 0)
    return len(code)


def code_of(text):
    """Returns the code without comments, strings and test items, and the files of test modules."""
    code, files = NOT_CODE.sub(lambda match: BLANK.sub(" ", match.group(0)), text), []
    while found := TEST.search(code):
        start, end = found.start(), end_of(code, found.start())
        if declared := re.search(r"\bmod\s+(\w+)\s*;$", code[start:end]):
            path = re.search(r'#\[path = "([^"]+)"\]', text[start:end])
            files.append((path or declared).group(1))
        code = code[:start] + BLANK.sub(" ", code[start:end]) + code[end:]
    return code, files


def heads(code, at, supers):
    """Yields the first names after a path: offset, name, and the number of `super` before it."""
    at = re.compile(r"\s*").match(code, at).end()
    if path := PATH.match(code, at):
        yield from heads(code, path.end(), supers + path.group(1).count("super"))
    elif name := re.compile(r"\w+").match(code, at):
        yield at, name.group(0), supers
    elif code[at:at + 1] == "{":
        depth = 0
        for here in range(at, end_of(code, at)):
            if code[here] == "{,"[depth:depth + 1]:
                yield from heads(code, here + 1, supers)
            depth += {"{": 1, "}": -1}.get(code[here], 0)


def module_of(path):
    parts = list(path.with_suffix("").parts)
    return parts[:-1] if parts[-1] in ("mod", "main", "lib") else parts


def imports_of(code, own, known):
    """Yields the line and the module of each import by the module `own`, a list of names."""
    inline = [(mod.start(), end_of(code, mod.start())) for mod in re.finditer(r"\bmod\s+\w+\s*\{", code)]
    for path in PATH.finditer(code):
        depth = len(own) + sum(start < path.start() < end for start, end in inline)
        supers = depth if path.group(1) == "crate" else path.group(1).count("super")
        for offset, name, supers in heads(code, path.end(), supers):
            if supers == depth and known.get(name, own[0]) != own[0]:
                yield code.count("\n", 0, offset) + 1, known[name]


def check(name, crate, root=ROOT):
    """Returns the mistakes of a crate, and the number of its imports."""
    source = root / crate["source"]
    read = {path: code_of(path.read_text()) for path in sorted(source.rglob("*.rs"))}
    home = lambda path: path.parent if path.stem in ("mod", "main", "lib") else path.with_suffix("")
    tests = {path.parent / file if file.endswith(".rs") else home(path) / (file + end)
             for path, (_, files) in read.items() for file in files for end in ("", ".rs")}
    codes = [(path, module_of(path.relative_to(source)), code)
             for path, (code, _) in read.items() if not tests & {path, *path.parents}]
    modules = {own[0] for _, own, _ in codes if own}
    layer = {module: number for number, layer in enumerate(crate["layers"]) for module in layer}
    known = {module: module for module in modules}
    for head, rest in re.findall(r"\buse\s+(?:crate::|self::)?(\w+)::([^;]+);", "".join(code for _, own, code in codes if not own)):
        names = re.findall(r"(\w+)\s*(?=[,}]|$)", rest) if head in modules else ()
        known = {**dict.fromkeys(names, head), **known}
    found = sorted({(path.relative_to(root).as_posix(), line, own[0], target)
                    for path, own, code in codes if own for line, target in imports_of(code, own, known)})
    beside = {a: {b for _, _, x, b in found if x == a and layer.get(a) == layer.get(b)} for a in modules}

    for _ in modules:  # What can be reached in one step more.
        beside = {a: near.union(*(beside[b] for b in near)) for a, near in beside.items()}
    mistakes = [f"{name}: {module} is in no layer (name it in layers.toml)" for module in sorted(modules - set(layer))]
    mistakes += [f"{name}: {module} is in layers.toml only" for module in sorted(set(layer) - modules)]
    for file, line, a, b in found:
        if layer.get(b, len(layer)) < layer.get(a, -1):
            mistakes.append(f"{file}:{line}: {a} imports {b}, which is in a layer above")
        elif layer.get(a) == layer.get(b) and not crate.get("cycles") and a in beside[b]:
            mistakes.append(f"{file}:{line}: {a} imports {b}, which leads back to {a}")
    for text, allowed in crate.get("only", {}).items():
        for path, own, code in codes:
            if own and own[0] not in allowed and text in code:
                line = code.count("\n", 0, code.index(text)) + 1
                mistakes.append(f"{path.relative_to(root).as_posix()}:{line}: {text} may be used in {', '.join(allowed)} only")
    return mistakes, len(found)


def self_test():
    files = {
        "lib.rs": "mod a;\npub use c::{deep::Name as Short, Other};\n",
        "a.rs": "use crate::b::B;\n// use crate::c;\nconst S: &str = \"crate::c\"; /* crate::c */\nfn f<'a>() { '\"' }\n",
        "b.rs": "fn f() { crate::a::f() }\n",
        "c/mod.rs": "#[cfg(test)]\nmod tests;\nmod inner { use super::super::{c, b::{self, B}}; }\n"
                    "#[cfg(test)]\nmod more {\n    use crate::a::f;\n}\nuse crate::Short;\n",
        "c/tests.rs": "use crate::a::f;\n",
        "d/e.rs": "use super::{\n    super::{Short, a},\n    super::b,\n    x,\n};\n",
    }
    above = "src/{}: {} imports {}, which is in a layer above".format
    with tempfile.TemporaryDirectory() as folder:
        for file, text in files.items():
            path = pathlib.Path(folder, "src", file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        of = lambda *layers, **more: check("t", {"source": "src", "layers": layers, **more}, pathlib.Path(folder))[0]
        assert of(["d"], ["c"], ["a", "b"], cycles=True) == []
        assert of(["d"], ["c"], ["a", "b"]) == [f"src/{a}.rs:1: {a} imports {b}, which leads back to {a}" for a, b in ("ab", "ba")]
        assert of(["c"], ["a"], ["b"], ["d"]) == [above("b.rs:1", "b", "a"), *(above(f"d/e.rs:{n}", "d", m) for n, m in ((2, "a"), (2, "c"), (3, "b")))]
        assert of(["d"], ["b", "a"], ["c"], cycles=True) == [above("c/mod.rs:3", "c", "b")]
        assert of(["d", "c", "a", "b"], cycles=True, only={"a::f": ["b"], "fn f": ["a", "b"]}) == []
        assert of(["d", "c", "a", "b"], cycles=True, only={"fn f": ["a"]}) == ["src/b.rs:1: fn f may be used in a only"]
        assert of(["d", "e"], ["c"], ["a"]) == ["t: b is in no layer (name it in layers.toml)", "t: e is in layers.toml only"]


if "--self-test" in sys.argv:
    sys.exit(self_test())
failed = False
for name, crate in tomllib.loads((ROOT / "tools/layers.toml").read_text()).items():
    mistakes, imports = check(name, crate)
    print("\n".join([*mistakes, f"{name}: {imports} imports between modules, {len(mistakes)} mistakes"]))
    failed |= bool(mistakes)
sys.exit(failed)
