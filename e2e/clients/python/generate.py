"""Generates a Python client from the contract document: generate.py CONTRACT FOLDER.

The generator cannot express rules between members ("exactly one of these is there"), and gives up
on a schema that has one. Those rules are left out for it; members, types and what is required
stay.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile


def drop_rules_between_members(node):
    if isinstance(node, dict):
        if "properties" in node:
            for rule in ("oneOf", "anyOf", "allOf"):
                node.pop(rule, None)
        for value in node.values():
            drop_rules_between_members(value)
    elif isinstance(node, list):
        for value in node:
            drop_rules_between_members(value)


def main():
    contract, folder = map(pathlib.Path, sys.argv[1:])
    document = json.loads(contract.read_text())
    drop_rules_between_members(document["components"]["schemas"])
    # The generator formats what it wrote with a program that is installed beside it.
    programs = str(pathlib.Path(sys.executable).parent)
    environment = dict(os.environ, PATH=programs + os.pathsep + os.environ.get("PATH", ""))
    with tempfile.TemporaryDirectory() as scratch:
        plain = pathlib.Path(scratch) / "contract.json"
        plain.write_text(json.dumps(document))
        subprocess.run(
            [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
            + ["--fail-on-warning", "--overwrite", "--path", plain, "--output-path", folder],
            check=True,
            env=environment,
        )


main()
