"""reference/ shares no code with what it judges: it imports numpy, scipy and itself."""

import ast
import sys
from importlib.resources import files

import pytest

MODULES = {
    each.name: each.read_text(encoding="utf-8")
    for each in files("clconv.reference").iterdir()
    if each.name.endswith(".py")
}


@pytest.mark.parametrize("text", MODULES.values(), ids=MODULES)
def test_imports_nothing_else(text):
    allowed = {"numpy", "scipy", *sys.stdlib_module_names}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            assert {each.name.split(".")[0] for each in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1 or (node.level == 0 and node.module.split(".")[0] in allowed)
