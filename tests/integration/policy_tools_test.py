"""The commands of `bulkhead policy`, as their users call them: exit codes, formats, and what they leave alone."""

import json
import pathlib
import re
import unittest
import xml.etree.ElementTree

from bulkhead_case import OK_ANSWER, ROOT, BulkheadCase, plugin, taskset

EXAMPLES = ROOT / "policy" / "examples"

POLICY = """apiVersion: bulkhead.dev/v1alpha1
kind: MutationPolicy
metadata: {name: p, owner: me@example.com}
spec:
  match: {plugin: {name: slack}, rpc: [template.execute], namespaces: ["*"], templates: ["*"]}
  limits: {stringBytes: 512}
  allow:
    - {id: phase, path: node.phase, value: {enum: [Succeeded, Failed]}}
    - {id: message, path: node.message, value: {maxBytes: 8}}
"""

TEST = """apiVersion: bulkhead.dev/v1alpha1
kind: MutationPolicyTest
policies: [p.yaml]
context: {default: {plugin: slack, workflow: {name: wf, namespace: ci}, template: {name: t}}}
cases:
  - {name: good, reply: {node: {phase: Succeeded, message: hi}}, expect: {verdict: allow}}
  - {name: pending, reply: {node: {phase: Pending}}, expect: {verdict: deny, violations: [{path: node.phase, by: phase}]}}
  - {name: long, reply: {node: {message: a long one}}, expect: {verdict: deny, violations: [{path: node.message, by: message}]}}
require: {ruleCoverage: 100, ruleKill: 100}
"""

GOOD_REPLY = '{"node":{"phase":"Succeeded"}}'


def call(seq, path, workflow="wf", **more):
    verdict = {"op": "add", "path": path, "allowed": True, "policy": "p", "rule": "message"}
    verdict.update(more)
    return json.dumps({"seq": seq, "time": "2026-06-01T10:00:00.000000Z", "event": "call", "workflow": workflow, "namespace": "ci",
                       "template": "t", "plugin": "slack", "method": "template.execute", "verdicts": [verdict], "applied": True, "phase": "Succeeded"}) + "\n"


class PolicyTools(BulkheadCase):
    def setUp(self):
        super().setUp()
        self.policy = self.write("p.yaml", POLICY)
        self.test = self.write("p_test.yaml", TEST)

    def assert_exit(self, code, *args, **kwargs):
        run = self.bulkhead("policy", *args, **kwargs)
        self.assertEqual(run.code, code, str(run))
        return run

    def test_examples_pass_their_own_tests_at_full_coverage_and_kill(self):
        for folder in sorted(p for p in EXAMPLES.iterdir() if p.is_dir()):
            run = self.assert_exit(0, "test", folder, "-o", "json")
            (suite,) = json.loads(run.out)["suites"]
            self.assertEqual((suite["ruleCoverage"], suite["ruleKill"], suite["letThrough"]), (100, 100, []), folder)
            self.assertGreater(suite["hostileReplies"], 100)
        self.assertEqual(len([p for p in EXAMPLES.iterdir() if p.is_dir()]), 5)

    def test_examples_are_free_of_warnings_and_laid_out(self):
        self.assert_exit(0, "check", EXAMPLES, "--strict", "--ignore", "W042")
        self.assert_exit(0, "fmt", "--check", *sorted(EXAMPLES.rglob("*.yaml")))

    def test_exit_codes_are_those_of_the_help(self):
        reply = self.write("reply.json", GOOD_REPLY)
        denied = self.write("denied.json", '{"node":{"progress":"1/2"}}')
        broken = self.write("broken.yaml", POLICY.replace("allow:", "alow:"))
        failing = self.write("f_test.yaml", TEST.replace("verdict: allow", "verdict: deny"))
        weak = self.write("w_test.yaml", "".join(line for line in TEST.splitlines(True) if "long" not in line))
        untested = self.write("log", call(1, "node.message"))
        narrow = self.write("narrow.yaml", POLICY.replace("    - {id: message, path: node.message, value: {maxBytes: 8}}\n", ""))
        table = [
            (0, ["check", self.policy]), (3, ["check", broken]), (2, ["check", "absent.yaml"]), (3, ["check", self.policy, "--strict"]),
            (0, ["test", self.test]), (1, ["test", failing]), (4, ["test", weak]), (2, ["test", self.policy]), (2, ["test"]),
            (0, ["explain", reply, "-p", self.policy]), (1, ["explain", denied, "-p", self.policy]), (3, ["explain", reply, "-p", broken]),
            (1, ["why-not", "node.progress", "1/2", "-p", self.policy]), (0, ["why-not", "node.message", "hi", "-p", self.policy]),
            (2, ["why-not", "node.mesage", "-p", self.policy]),
            (0, ["diff", self.policy, self.policy]), (1, ["diff", self.policy, narrow]), (3, ["diff", self.policy, broken]),
            (0, ["replay", untested, "-p", self.policy]), (1, ["replay", untested, "-p", narrow]), (0, ["learn", untested]),
            (1, ["learn", self.write("empty", "")]), (0, ["schema"]), (0, ["schema", "test"]), (0, ["schema", "--paths"]), (0, ["protected"]),
            (0, ["protected", "argo.globals"]), (2, ["protected", "argo.global"]), (0, ["corpus", self.policy]),
            (0, ["bench", reply, "-p", self.policy, "-n", "100"]), (0, ["check", "--ids"]), (2, ["chek"]),
        ]
        for code, args in table:
            with self.subTest(args=args):
                self.assert_exit(code, *args)

    def test_every_command_has_help_that_teaches(self):
        for verb in ("check", "fmt", "test", "explain", "why-not", "diff", "replay", "learn", "corpus"):
            run = self.assert_exit(0, verb, "--help")
            self.assertIn("Exit codes: 0", run.out, verb)

    def test_machine_formats_are_what_they_say(self):
        broken = self.write("broken.yaml", POLICY.replace("allow:", "alow:"))
        self.assertEqual(json.loads(self.assert_exit(3, "check", broken, "-o", "json").out)["diagnostics"][0]["id"], "E003")
        sarif = json.loads(self.assert_exit(3, "check", broken, "-o", "sarif").out)
        self.assertEqual(sarif["version"], "2.1.0")
        self.assertEqual(sarif["runs"][0]["results"][0]["ruleId"], "E003")
        self.assertRegex(self.assert_exit(3, "check", broken, "-o", "github").out, r"^::error file=.*broken\.yaml,line=7,col=3,title=E003::")
        suite = xml.etree.ElementTree.fromstring(self.assert_exit(0, "test", self.test, "-o", "junit").out)
        self.assertEqual([s.get("failures") for s in suite], ["0"])
        self.assertRegex(self.assert_exit(0, "test", self.test, "-o", "tap").out, r"\ATAP version 13\n1\.\.6\nok 1 ")
        self.assertEqual(self.assert_exit(0, "test", self.test, "-o", "github").out, "")
        self.assertEqual(json.loads(self.assert_exit(0, "schema").out)["title"], "Mutation policy of Bulkhead")

    def test_fmt_replaces_a_file_only_when_it_changes_and_keeps_its_mode(self):
        path = pathlib.Path(self.write("untidy.yaml", POLICY.replace("  allow:\n    - ", "  allow:   # rules\n    -   ")))
        path.chmod(0o640)
        self.assert_exit(1, "fmt", "--check", path)
        self.assertIn("# rules", path.read_text())
        self.assert_exit(0, "fmt", path)
        self.assertEqual(path.stat().st_mode & 0o777, 0o640)
        self.assertIn("  allow:  # rules\n    - {id: phase", path.read_text())
        inode = path.stat().st_ino
        self.assert_exit(0, "fmt", path)
        self.assertEqual(path.stat().st_ino, inode)
        self.assertEqual(self.assert_exit(0, "fmt", "-", stdin="a:   1\n").out, "a: 1\n")

    def test_fmt_leaves_a_file_that_is_no_strict_yaml(self):
        path = pathlib.Path(self.write("bad.yaml", "a: &x 1\n"))
        self.assert_exit(3, "fmt", path)
        self.assertEqual(path.read_text(), "a: &x 1\n")

    def test_learn_never_writes_over_a_file(self):
        log = self.write("log", call(1, "node.message"))
        self.assertNotEqual(self.bulkhead("policy", "learn", log, "-o", self.policy).code, 0)
        self.assertEqual(pathlib.Path(self.policy).read_text(), POLICY)
        self.assert_exit(0, "learn", log, "-o", self.dir / "new.yaml")
        self.assert_exit(0, "check", self.dir / "new.yaml")

    def test_a_hostile_log_reaches_no_terminal(self):
        log = self.write("log", call(1, 'node.outputs.parameters["\u001b[31m\u202e"].value', workflow="\u001b]0;x\u0007") + call(2, "node.message", rule="\u001b[2J"))
        for args in (["learn", log, "--include-refused"], ["replay", log, "-p", self.policy]):
            run = self.bulkhead("policy", *args)
            for text in (run.out, run.err):
                self.assertNotRegex(text, "[\u001b\u0007\u202e]", args)

    def test_all_errors_of_all_files_come_in_one_pass(self):
        self.write("a.yaml", POLICY.replace("allow:", "alow:").replace("node.phase", "node.phas"))
        self.write("b.yaml", POLICY.replace("node.message", "node.mesage"))
        run = self.assert_exit(3, "check", self.dir / "a.yaml", self.dir / "b.yaml")
        self.assertIn('did you mean "allow"?', run.out)
        self.assertIn('did you mean "message"?', run.out)

    def test_a_folder_with_tests_is_a_folder_of_policies(self):
        self.assert_exit(0, "explain", "-", "-p", self.dir, stdin=GOOD_REPLY)

    def test_a_policy_that_is_a_link_to_nothing_is_not_passed_over(self):
        folder = self.dir / "policies"
        folder.mkdir()
        (folder / "p.yaml").write_text(POLICY)
        (folder / "deny.yaml").symlink_to("nothing")
        tasks = self.write("tasks.json", taskset({"a": ("ok", "x")}))
        self.write("plugins/ok.json", plugin("ok", OK_ANSWER, 12471))
        run = ["run", tasks, "--plugins", self.dir / "plugins", "--policy", folder]
        for args in (run, ["policy", "check", folder], ["policy", "explain", "-", "-p", folder]):
            run = self.bulkhead(*args, stdin=GOOD_REPLY)
            self.assertEqual(run.code, 2, str(run))
            self.assertIn(str(folder / "deny.yaml") + ": is no file", run.err)

    def test_the_agent_skips_the_tests_beside_policies_too(self):
        tasks = self.write("tasks.json", taskset({}))
        (self.dir / "policies").mkdir()
        for name, text in (("p.yaml", POLICY), ("p_test.yaml", TEST)):
            (self.dir / "policies" / name).write_text(text)
        run = self.bulkhead("run", tasks, "--plugins", self.dir / "plugins", "--policy", self.dir / "policies")
        self.assertNotIn("p_test.yaml", run.err)

    def test_fmt_lays_out_every_yaml_of_the_tree(self):
        files = [p for folder in ("policy", "deploy") for p in sorted((ROOT / folder).rglob("*.yaml"))]
        self.assertGreater(len(files), 10)
        for path in files:
            once = self.assert_exit(0, "fmt", "-", stdin=path.read_text())
            self.assertEqual(self.assert_exit(0, "fmt", "-", stdin=once.out).out, once.out, path)

    def test_the_page_on_test_files_shows_one_that_reads(self):
        (shown,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "policy" / "tools" / "README.md").read_text(), re.S)
        self.write("policy.yaml", POLICY)
        run = self.assert_exit(4, "test", self.write("shown_test.yaml", shown))
        self.assertIn("1 passed, 0 failed", run.out)

    def test_a_draft_from_a_real_log_allows_what_the_log_holds(self):
        self.run_tasks({"a": ("ok", "x"), "b": ("ok", "x")}, [plugin("ok", OK_ANSWER, 12471)])
        draft = self.dir / "draft.yaml"
        self.assert_exit(0, "learn", self.audit, "-o", draft)
        self.assert_exit(0, "check", draft)
        replayed = json.loads(self.assert_exit(0, "replay", self.audit, "-p", draft, "-o", "json").out)
        self.assertEqual((replayed["calls"], replayed["unreadableLines"], replayed["neverNeeded"]), (2, 0, []))
        self.assertGreater(replayed["changes"], 2)
        self.assertEqual([d for d in replayed["differences"] if d["kind"] != "depends on the value"], [])

    def test_check_compares_rules_with_what_the_templates_of_workflows_declare(self):
        rule = '    - {id: ts, path: "node.outputs.parameters[ts].name"}\n'
        named = self.write("named.yaml", POLICY + rule)
        (self.dir / "flows" / "beneath").mkdir(parents=True)

        def ids(code, policy, outputs, *args):
            document = {"kind": "WorkflowTemplate", "metadata": {"name": "greet", "namespace": "ci"},
                        "spec": {"templates": [{"name": "t", "plugin": {"slack": {}}, "outputs": {"parameters": [{"name": n} for n in outputs]}}]}}
            self.write("flows/beneath/greet.yaml", json.dumps(document))
            run = self.assert_exit(code, "check", policy, "--workflows", self.dir / "flows", "-o", "json", *args)
            told = [d for d in json.loads(run.out)["diagnostics"] if d["id"] in ("E080", "W081")]
            for one in told:
                self.assertIn("greet.yaml:1", one["message"])
            return [d["id"] for d in told]

        self.assertEqual(ids(0, named, ["ts"]), [])
        self.assertEqual(ids(3, named, []), ["E080"])
        self.assertEqual(ids(0, self.policy, ["ts"]), ["W081"])
        self.assertEqual(ids(0, self.policy, ["ts"], "--ignore", "W081"), [])
        self.assertIn("no-flows", self.assert_exit(2, "check", named, "--workflows", self.dir / "no-flows").err)

    def test_check_tells_fields_that_came_since_the_last_review(self):
        paths = self.assert_exit(0, "schema", "--paths").out

        def told(text):
            run = self.assert_exit(0, "check", self.policy, "--reviewed-paths", self.write("reviewed", text), "-o", "json")
            return [d["message"] for d in json.loads(run.out)["diagnostics"] if d["id"] == "W083"]

        self.assertEqual(told(paths), [])
        (message,) = told("".join(line for line in paths.splitlines(True) if not line.startswith("node.progress")))
        self.assertIn("node.progress", message)
        other = self.assert_exit(2, "check", self.policy, "--reviewed-paths", self.write("reviewed", "no paths\n"))
        self.assertIn("bulkhead policy schema --paths", other.err)

    def test_replay_names_the_calls_that_the_log_cannot_decide_only_when_asked(self):
        log = self.write("log", call(1, "node.message", workflow="open") + call(2, "node.phase", workflow="decided", value='"Failed"'))
        line = "not in full: 2026-06-01T10:00:00.000000Z ci/open slack: without limits.stringBytes of p, the value of node.message (rule message)\n"
        brief = self.assert_exit(0, "replay", log, "-p", self.policy).out
        self.assertIn("1 of 2 decisions replayed in full", brief)
        self.assertNotIn("not in full: ", brief)
        self.assertIn("--calls names them", brief)
        each = self.assert_exit(0, "replay", log, "-p", self.policy, "--calls").out
        self.assertEqual([part for part in each.splitlines(True) if part.startswith("not in full")], [line])
        self.assertNotIn("--calls names them", each)

    def test_the_context_of_a_case_serves_explain(self):
        run = self.assert_exit(0, "explain", "-", "-p", self.policy, "-c", self.test, "--case", "long", "-o", "json", stdin=GOOD_REPLY)
        self.assertEqual(json.loads(run.out)["leaves"][0]["op"], "add")
        self.assert_exit(2, "explain", "-", "-p", self.policy, "-c", self.test, "--case", "lon", stdin=GOOD_REPLY)


if __name__ == "__main__":
    unittest.main()
