"""The rules of the tree that no compiler checks."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = [p for folder in ("runner", "policy", "certs") for p in sorted((ROOT / folder).rglob("*")) if p.suffix in (".h", ".cc")]

# Which modules each may include. runner/base stands under everything, runner/cli over everything.
MAY_INCLUDE = {
    "runner/base": set(),
    "certs": {"runner/base"},
    "policy/expr": {"runner/base"},
    "policy": {"runner/base", "policy/expr"},
    "policy/tools": {"runner/base", "policy"},
    "runner/redact": {"runner/base"},
    "runner/audit": {"runner/base"},
    "runner/rpc": {"runner/base", "certs"},
    "runner/sandbox": {"runner/base", "certs"},
    "runner/http": {"runner/base", "certs", "policy", "policy/expr", "runner/redact", "runner/rpc"},
    "runner/agent": {"runner/base", "certs", "policy", "policy/expr", "runner/redact", "runner/audit", "runner/rpc", "runner/sandbox", "runner/http"},
    "runner/kube": {"runner/base", "certs", "runner/rpc"},
    "runner/source": {"runner/base", "runner/agent", "runner/sandbox", "runner/kube", "runner/http"},
    "runner/gateway": {"runner/base", "certs", "policy", "policy/expr", "runner/redact", "runner/audit", "runner/rpc", "runner/agent"},
    "runner/cli": {"runner/base", "certs", "policy", "policy/expr", "policy/tools", "runner/redact", "runner/audit", "runner/rpc", "runner/sandbox", "runner/http", "runner/agent", "runner/kube", "runner/source", "runner/gateway"},
}


def module_of(path):
    parts = path.split("/")
    two = "/".join(parts[:2])
    return two if parts[0] == "runner" or two in MAY_INCLUDE else parts[0]


class Rules(unittest.TestCase):
    def test_top_level_is_exactly_the_layout(self):
        tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
        top = {p.split("/")[0] for p in tracked if p and not p.startswith(".")}
        self.assertEqual(top, {"CMakeLists.txt", "CMakePresets.json", "LICENSE", "README.md", "SECURITY.md", "certs", "deploy", "policy", "runner", "tests"})

    def test_includes_point_the_allowed_way(self):
        wrong = []
        for source in SOURCES:
            module = module_of(str(source.relative_to(ROOT)))
            for line in source.read_text().splitlines():
                match = re.match(r'#include "([^"]+)"', line)
                if not match:
                    continue
                target = module_of(match.group(1))
                if target != module and target not in MAY_INCLUDE[module]:
                    wrong.append("%s includes %s" % (source.relative_to(ROOT), match.group(1)))
        self.assertEqual(wrong, [])

    def test_openssl_stays_inside_certs(self):
        # The text helpers hash, the secrets wipe; the shim's relay is the other end of certs' streams.
        allowed = {"runner/base/text.cc", "runner/base/secret.cc", "runner/sandbox/shim/relay.cc"}
        for source in SOURCES:
            name = str(source.relative_to(ROOT))
            if not name.startswith("certs/") and name not in allowed:
                self.assertNotRegex(source.read_text(), r"#include <openssl/", name)

    def test_every_header_guards_itself(self):
        for source in SOURCES:
            if source.suffix == ".h":
                self.assertIn("#pragma once", source.read_text(), source)

    def test_the_readmes_commands_are_the_binarys(self):
        """Every `bulkhead VERB` and every --flag of the documents is one that --help knows."""
        binary = os.environ["BULKHEAD"]
        verbs = {}
        for document in (ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "policy" / "README.md", ROOT / "runner" / "audit" / "FORMAT.md"):
            text = document.read_text().replace("\\\n", " ")
            for block in re.findall(r"```(?:sh|console)?\n(.*?)```", text, re.S) + re.findall(r"`(bulkhead [^`]+)`", text) + re.findall(r"^    (bulkhead .*)$", text, re.M):
                for line in block.splitlines():
                    match = re.match(r"(?:\$ )?(?:\S*/)?bulkhead ((?:[a-z]+ ?){1,2})(.*)", line.strip())
                    if not match:
                        continue
                    words = match.group(1).split()
                    for depth in (2, 1):
                        verb = tuple(words[:depth])
                        if verb not in verbs:
                            run = subprocess.run([binary, *verb, "--help"], capture_output=True, text=True)
                            verbs[verb] = run.stdout if run.returncode == 0 and ("bulkhead " + " ".join(verb)) in run.stdout else None
                        if verbs[verb] is not None:
                            break
                    self.assertIsNotNone(verbs[verb], "%s: no such command: %s" % (document.name, line))
                    for flag in re.findall(r"(?<!\S)(--[a-z-]+)", match.group(2)):
                        self.assertIn(flag, verbs[verb], "%s: no such flag: %s" % (document.name, line))
        self.assertGreater(len([v for v in verbs.values() if v]), 3, "the documents show hardly any command")

    def test_links_of_the_documents_lead_somewhere(self):
        for document in [ROOT / "README.md", ROOT / "SECURITY.md", *ROOT.glob("*/README.md"), ROOT / "policy" / "expr" / "README.md", ROOT / "runner" / "audit" / "FORMAT.md"]:
            for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
                if not target.startswith("http"):
                    self.assertTrue((document.parent / target).exists(), "%s links to %s" % (document, target))

    def test_every_test_that_security_names_exists(self):
        """SECURITY.md names a test for each defence, as `Name` in backquotes in the table's last column."""
        sources = "\n".join(p.read_text() for p in (ROOT / "tests").rglob("*") if p.suffix in (".cc", ".py", "") and p.is_file() and "corpus" not in str(p))
        rows = re.findall(r"^\|.*\| ([^|]*`[^|]*) \|$", (ROOT / "SECURITY.md").read_text(), re.M)
        self.assertGreater(len(rows), 15)
        for row in rows:
            for name in re.findall(r"`([^`]+)`", row):
                self.assertIn(name.split(".")[-1].split("/")[-1], sources, "SECURITY.md names a test that is not there")

    def tables(self, classes="", leaves="", without=None):
        """Runs the schema's generator over the tree's own inputs with lines added or taken away."""
        schema = ROOT / "policy" / "schema"
        with tempfile.TemporaryDirectory() as folder:
            inputs = []
            for name, more in (("classes.txt", classes), ("leaves.txt", leaves), ("spec_fields.txt", "")):
                text = (schema / name).read_text()
                if without:
                    text = "".join(line for line in text.splitlines(True) if not line.startswith(without + " "))
                path = pathlib.Path(folder) / name
                path.write_text(text + more)
                inputs.append(str(path))
            out = pathlib.Path(folder) / "out.cc"
            run = subprocess.run([sys.executable, "-B", str(schema / "tables.py"), str(out), *inputs], capture_output=True, text=True)
            return run.returncode, run.stderr, out.exists()

    def test_a_leaf_of_a_new_argo_without_a_class_fails_the_build(self):
        self.assertEqual(self.tables(), (0, "", True))
        code, error, written = self.tables(leaves="workflow.zeal string workflow.preOperate\n")
        self.assertEqual((code, written), (1, False))
        self.assertIn("leaf workflow.zeal is in no class", error)
        # A new field of a struct of which no line speaks as a whole.
        code, error, written = self.tables(without="node.outputs.artifacts[].deleted", leaves="node.outputs.artifacts[].deleted boolean template.execute\n")
        self.assertEqual((code, written), (1, False))
        self.assertIn("leaf node.outputs.artifacts[].deleted is in no class", error)

    def test_a_leaf_in_two_classes_fails_the_build(self):
        code, error, written = self.tables(classes="node.phase argo.status\n")
        self.assertEqual((code, written), (1, False))
        self.assertIn("node.phase is classified twice", error)
        code, error, _ = self.tables(classes="node.nothing argo.status\n")
        self.assertIn("node.nothing counts for no leaf", error)
        code, error, _ = self.tables(classes="node.outputs.artifacts[].name.x argo.statu\n")
        self.assertIn("no such class: argo.statu", error)

    def test_the_leaf_list_is_what_argos_published_schemas_give(self):
        data = pathlib.Path(os.environ.get("BULKHEAD_ARGO_DATA", ROOT.parent / "shared" / "reference" / "data"))
        if not (data / "argo-v4.1.2").is_dir():
            self.skipTest("Argo's schemas are not here; set BULKHEAD_ARGO_DATA to their folder")
        schema = ROOT / "policy" / "schema"
        run = subprocess.run([sys.executable, "-B", str(schema / "generate.py"), str(data)], capture_output=True, text=True)
        if "No module named 'yaml'" in run.stderr:
            self.skipTest("python3-yaml is not installed")
        self.assertEqual(run.stderr, "")
        self.assertEqual(run.stdout, (schema / "leaves.txt").read_text())


if __name__ == "__main__":
    unittest.main()
