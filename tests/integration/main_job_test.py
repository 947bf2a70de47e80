"""The main job: plugin tasks run in a sandbox, over mutual TLS, under a policy, with an audit record each."""

import json
import os
import pathlib
import shutil
import subprocess
import unittest

from bulkhead_case import BULKHEAD, BulkheadCase, OK_ANSWER, ROOT, plugin, policy, taskset


class MainJob(BulkheadCase):
    def test_tasks_succeed_in_both_tiers_and_the_audit_verifies(self):
        for tier in ("strict", "restricted"):
            with self.subTest(tier=tier):
                run = self.run_tasks({"a": ("hello", {}), "b": ("hello", {})}, [plugin("hello", OK_ANSWER, 14355)],
                                     "--tier", tier)
                self.assertEqual(run.code, 0, str(run))
                self.assertEqual(run.nodes(), {n: {"phase": "Succeeded", "message": "ok"} for n in "ab"})
                self.assert_verifies()
                calls = self.records("call")[-2:]
                self.assertEqual([c["tier"] for c in calls], [tier] * 2)
                self.assertTrue(all(c["applied"] for c in calls))

    def test_the_compartment_is_attested_in_the_audit(self):
        self.run_tasks({"a": ("hello", {})}, [plugin("hello", OK_ANSWER, 14355)], "--tier", "strict")
        (start,) = self.records("plugin.start")
        attestation = start["attestation"]
        for proof in ("noNewPrivs", "seccompFilter", "capabilitiesEmpty", "securebitsLocked", "probeDenied"):
            self.assertIs(attestation[proof], True, attestation)
        for namespace in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup"):
            self.assertIn(namespace, attestation["namespaces"])

    def test_a_plugin_that_never_learned_of_tls_sees_argos_request(self):
        answer = """
def answer(h, act, args):
    ok = (h.headers['Content-Type'] == 'application/json' and args['workflow']['metadata']['name'] == 'wf'
          and args['workflow']['metadata']['namespace'] == 'ns' and args['workflow']['metadata']['uid']
          and args['template']['name'] == 't-a' and act == {'x': [1, 'two', None, True]})
    h.reply({'node': {'phase': 'Succeeded' if ok else 'Failed', 'message': 'seen'}})
"""
        run = self.run_tasks({"a": ("hello", {"x": [1, "two", None, True]})}, [plugin("hello", answer, 14355)])
        self.assertEqual(run.nodes()["a"]["phase"], "Succeeded", str(run))

    def test_without_a_policy_everything_is_refused_with_what_to_write(self):
        run = self.run_tasks({"a": ("hello", {})}, [plugin("hello", OK_ANSWER, 14355)], policies="")
        self.assertEqual(run.code, 1, str(run))
        node = run.nodes()["a"]
        self.assertEqual(node["phase"], "Error")
        self.assertIn("refused by policy", node["message"])
        self.assertIn("MutationPolicy", node["message"])

    def test_requeue_runs_again_and_keeps_what_was_reported(self):
        answer = """
seen = []
def answer(h, act, args):
    seen.append(1)
    if len(seen) == 1:
        return h.reply({'node': {'phase': 'Running', 'message': 'started'}, 'requeue': '1s'})
    h.reply({'node': {'phase': 'Succeeded'}})
"""
        run = self.run_tasks({"a": ("slow", {})}, [plugin("slow", answer, 14355)])
        self.assertEqual(run.code, 0, str(run))
        self.assertEqual(run.nodes()["a"], {"phase": "Succeeded", "message": "started"})
        self.assertEqual(len(self.records("call")), 2)

    def test_not_mine_asks_the_next_and_404_is_remembered(self):
        unsupported = """
count = [0]
def answer(h, act, args):
    h.reply({}, 404)
"""
        not_mine = "def answer(h, act, args):\n    h.reply(None)\n"
        first, second, third = (plugin("a-none", unsupported, 14355), plugin("b-null", not_mine, 14356),
                                plugin("c-takes", OK_ANSWER, 14357))
        for manifest in (first, second, third):
            del manifest["metadata"]["annotations"]
        run = self.run_tasks({"n%d" % i: ("whatever", {}) for i in range(4)}, [first, second, third], "--workers", "1")
        self.assertEqual(run.code, 0, str(run))
        asked = [c["plugin"] for c in self.records("call")]
        self.assertEqual(asked.count("a-none"), 1, asked)
        self.assertEqual(asked.count("b-null"), 4, asked)
        self.assertEqual(asked.count("c-takes"), 4, asked)

    def test_a_declared_key_costs_one_call_a_task(self):
        plugins = [plugin(name, OK_ANSWER, 14355 + i) for i, name in enumerate(("aa", "bb", "cc"))]
        run = self.run_tasks({"n%d" % i: (("aa", "bb", "cc")[i % 3], {}) for i in range(9)}, plugins)
        self.assertEqual(run.code, 0, str(run))
        self.assertEqual(len(self.records("call")), 9)

    def test_steps_run_in_order_and_stop_at_the_first_failure(self):
        workflow = {
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
            "metadata": {"name": "steps", "namespace": "ns"},
            "spec": {"entrypoint": "main", "templates": [
                {"name": "main", "steps": [
                    [{"name": "one", "template": "say", "arguments": {"parameters": [{"name": "text", "value": "first"}]}}],
                    [{"name": "two", "template": "fail"}],
                    [{"name": "three", "template": "say", "arguments": {"parameters": [{"name": "text", "value": "last"}]}}]]},
                {"name": "say", "inputs": {"parameters": [{"name": "text"}]}, "plugin": {"echo": {"text": "{{inputs.parameters.text}}"}}},
                {"name": "fail", "plugin": {"echo": {}}}]},
        }
        answer = """
def answer(h, act, args):
    h.reply({'node': {'phase': 'Succeeded' if act.get('text') else 'Failed', 'message': act.get('text', 'no')}})
"""
        run = self.run_tasks(workflow, [plugin("echo", answer, 14355)])
        self.assertEqual(run.code, 1, str(run))
        messages = sorted(n["message"] for n in run.nodes().values())
        self.assertEqual(messages, ["first", "no"])

    def test_the_table_shows_every_task_and_the_audit(self):
        run = self.run_tasks({"a": ("hello", {})}, [plugin("hello", OK_ANSWER, 14355)], output="table")
        self.assertEqual(run.code, 0, str(run))
        self.assertRegex(run.out, r"NODE +PLUGIN +PHASE +CALLS +MS +TIER +ALLOWED +REFUSED +MESSAGE")
        self.assertRegex(run.out, r"a +hello +Succeeded +1 ")
        self.assertIn("verified", run.out)
        self.assertNotIn("\x1b", run.out)

    def test_yaml_output_is_the_same_status(self):
        run = self.run_tasks({"a": ("hello", {})}, [plugin("hello", OK_ANSWER, 14355)], output="yaml")
        self.assertIn("kind: WorkflowTaskSet", run.out)
        self.assertIn("phase: Succeeded", run.out)

    def test_a_config_map_made_by_argo_is_a_plugin(self):
        container = plugin("hello", OK_ANSWER, 14355)["spec"]["sidecar"]["container"]
        config_map = {
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "hello-executor-plugin", "labels": {"workflows.argoproj.io/configmap-type": "ExecutorPlugin"},
                         "annotations": {"workflows.argoproj.io/description": "x"}, "creationTimestamp": None},
            "data": {"sidecar.automountServiceAccountToken": "false", "sidecar.container": json.dumps(container)},
        }
        self.write("tasks.json", taskset({"a": ("hello", {})}))
        self.write("plugins/cm.json", config_map)
        run = self.bulkhead("run", self.dir / "tasks.json", "--plugins", self.dir / "plugins", "--audit", self.audit,
                            "--policy", self.write("policy.yaml", policy("hello")), "-o", "json")
        self.assertEqual(run.code, 0, str(run))

    def test_a_minimum_tier_is_never_undercut(self):
        manifest = plugin("hello", OK_ANSWER, 14355)
        manifest["metadata"]["annotations"]["bulkhead.dev/minimum-tier"] = "strict"
        run = self.run_tasks({"a": ("hello", {}), "b": ("other", {})}, [manifest, plugin("other", OK_ANSWER, 14356)],
                             "--tier", "restricted")
        self.assertEqual(run.code, 1, str(run))
        self.assertIn("minimum-tier", run.nodes()["a"]["message"])
        self.assertEqual(run.nodes()["b"]["phase"], "Succeeded")
        self.assertEqual(len(self.records("tier.refused")), 1)

    def test_secrets_are_masked_everywhere(self):
        answer = """
import base64
def answer(h, act, args):
    print('stdout has ' + TOKEN, flush=True)
    secret = os.environ['API_KEY']
    texts = {'plain': secret, 'base64': base64.b64encode(secret.encode()).decode(), 'hex': secret.encode().hex(),
             'token': TOKEN, 'file': 'from-a-secret-file'}
    h.reply({'node': {'phase': 'Succeeded', 'message': 'it is ' + texts[act['which']]}})
"""
        manifest = plugin("leaky", answer, 14355, env=[
            {"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "api", "key": "key"}}}])
        self.write("plugins/secret.json", {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "api"},
                                           "stringData": {"key": "s3cr3t-value-1234"}})
        run = self.run_tasks({w: ("leaky", {"which": w}) for w in ("plain", "base64", "hex", "token", "file")}, [manifest], "-v",
                             "--secret-file", self.write("secret.txt", "from-a-secret-file\n"))
        self.assertEqual(run.code, 0, str(run))
        everything = run.out + run.err + self.audit.read_text()
        for needle in ("s3cr3t-value-1234", "czNjcjN0LXZhbHVl", "733363723374", "from-a-secret-file"):
            self.assertNotIn(needle, everything)
        for node in run.nodes().values():
            self.assertIn("[REDACTED:", node["message"])
        self.assertIn("stdout has [REDACTED:leaky/token]", run.err)


EXAMPLES = ROOT / "deploy" / "examples"


class Examples(BulkheadCase):
    """What deploy/quickstart shows, and the same in the other tier."""

    def outcomes(self):
        for line in (EXAMPLES / "outcomes.tsv").read_text().splitlines():
            if not line.startswith("#"):
                yield line.split("\t")

    def check(self, tier):
        run = self.bulkhead("run", EXAMPLES / "taskset.yaml", "--plugins", EXAMPLES / "plugins", "--policy",
                            EXAMPLES / "policy.yaml", "--tier", tier, "--audit", self.audit, "-o", "json")
        self.assertEqual(run.code, 1, str(run))
        last = {c["node"]: c for c in self.records("call")}
        expected = {node: (phase, layer) for node, phase, layer, *_ in self.outcomes()}
        got = {n: (c["phase"], c.get("stoppedBy") or ("masked" if c.get("masked") else "-")) for n, c in last.items()}
        self.assertEqual(got, expected)
        self.assertEqual({n: v["phase"] for n, v in run.nodes().items()}, {n: phase for n, (phase, _) in expected.items()})
        self.assertNotIn("ESCAPED", run.out)
        self.assert_verifies()

    def test_every_hostile_act_is_stopped_without_root(self):
        """The agent as another user, without capabilities: what a pod gives it."""
        folder = pathlib.Path("/opt/bulkhead-test-%d" % os.getpid())
        self.addCleanup(shutil.rmtree, folder)
        shutil.copytree(EXAMPLES, folder / "examples")
        for program in ("bulkhead", "bulkhead-init"):
            shutil.copy(pathlib.Path(BULKHEAD).parent / program, folder / program)
        for manifest in (folder / "examples" / "plugins").iterdir():
            # Another user than the agent's can't be had without root in restricted.
            manifest.write_text("".join(l for l in manifest.open() if "runAsUser" not in l))
        for path in (self.dir, self.dir / "tmp"):
            path.chmod(0o777)
        # The volume that a pod shares; who is not root can't make it.
        shared = pathlib.Path("/var/run/argo")
        if not shared.exists():
            shared.mkdir()
            self.addCleanup(shared.rmdir)
        self.addCleanup(shared.chmod, shared.stat().st_mode & 0o7777)
        shared.chmod(0o1777)
        for tier in ("strict", "restricted"):
            with self.subTest(tier=tier):
                audit = self.dir / (tier + ".jsonl")
                run = subprocess.run(
                    ["setpriv", "--reuid", "8737", "--regid", "8737", "--clear-groups", "--bounding-set", "-all", "--no-new-privs",
                     folder / "bulkhead", "run", folder / "examples" / "taskset.yaml", "--plugins", folder / "examples" / "plugins",
                     "--policy", folder / "examples" / "policy.yaml", "--tier", tier, "--audit", audit, "-o", "json"],
                    capture_output=True, text=True, cwd=self.dir, env={"PATH": os.environ["PATH"], "TMPDIR": str(self.dir / "tmp")}, timeout=100)
                self.assertEqual(run.returncode, 1, run.stderr)
                last = {c["node"]: c for c in map(json.loads, audit.open()) if c["event"] == "call"}
                self.assertEqual({n: c["phase"] for n, c in last.items()}, {node: phase for node, phase, *_ in self.outcomes()})
                self.assertEqual({c["tier"] for c in last.values()}, {tier})

    def test_every_hostile_act_is_stopped_in_strict(self):
        self.check("strict")

    def test_every_hostile_act_is_stopped_in_restricted(self):
        self.check("restricted")


class Programs(BulkheadCase):
    """Manifests are written for images; here the host's programs serve."""

    def test_a_manifest_as_argos_documentation_has_it_runs_unchanged(self):
        source = """
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
class Plugin(BaseHTTPRequestHandler):
    def do_POST(self):
        args = json.loads(self.rfile.read(int(self.headers.get('Content-Length'))))
        answer = {'node': {'phase': 'Succeeded', 'message': 'hi'}} if 'hello' in args['template'].get('plugin', {}) else None
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode('UTF-8'))
HTTPServer(('', 4355), Plugin).serve_forever()
"""
        manifest = plugin("hello", None, 4355, source=source, command=["python", "-u", "-c"], image="python:alpine3.6")
        del manifest["metadata"]["annotations"]
        for tier in ("strict", "restricted"):
            with self.subTest(tier=tier):
                run = self.run_tasks({"a": ("hello", {})}, [manifest], "--tier", tier)
                self.assertEqual(run.code, 0, str(run))
                self.assertEqual(run.nodes()["a"]["message"], "hi")
                self.assertIn("notice: hello: command python is not on this host: python3 runs instead", run.err)
                self.assertIn("notice: hello: image python:alpine3.6 is not run here", run.err)

    def test_a_rule_sees_what_the_template_declares(self):
        answer = """
def answer(h, act, args):
    h.reply({'node': {'phase': 'Succeeded', 'outputs': {'parameters': [{'name': 'answer', 'value': '42'}]}}})
"""
        document = taskset({"a": ("p", {}), "b": ("p", {})})
        document["spec"]["tasks"]["a"]["outputs"] = {"parameters": [{"name": "answer"}]}
        declared = policy("p").replace('"value": {"charset": "token", "maxBytes": 64}', '"value": {"declared": true}')
        run = self.run_tasks(document, [plugin("p", answer, 14355)], policies=declared)
        self.assertEqual({n: v["phase"] for n, v in run.nodes().items()}, {"a": "Succeeded", "b": "Error"}, str(run))

    def test_a_pinned_digest_matches_only_the_image_that_runs(self):
        digest = "sha256:" + "0" * 63 + "1"
        manifest = plugin("p", OK_ANSWER, 14355, image="registry.example.com/p@" + digest)
        pinned = policy("p").replace('"plugin": {"name": "p"}', '"plugin": {"name": "p", "digest": "%s"}' % digest)
        # A folder that serves as the image's root: what of the host a program needs.
        root = pathlib.Path("/srv/bulkhead-test-%d" % os.getpid())
        self.addCleanup(shutil.rmtree, root)
        root.mkdir(parents=True)
        for name in ("bin", "lib", "lib64", "usr", "etc"):
            source = pathlib.Path("/", name)
            if source.is_symlink():
                (root / name).symlink_to(os.readlink(source))
            else:
                (root / name).mkdir()
        for name in ("proc", "dev", "tmp", "run"):
            (root / name).mkdir()
        subprocess.run(["mount", "--bind", "/usr", root / "usr"], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", root / "usr"], check=True)
        for extra, phase in (([], "Error"), (["--rootfs", "p=%s" % root], "Succeeded")):
            with self.subTest(extra=extra):
                run = self.run_tasks({"a": ("p", {})}, [manifest], "--tier", "strict", *extra, policies=pinned)
                self.assertIn(run.code, (0, 1), str(run))
                self.assertEqual(run.nodes()["a"]["phase"], phase, str(run))
        other = pinned.replace(digest, digest[:-1] + "2")
        run = self.run_tasks({"a": ("p", {})}, [manifest], "--tier", "strict", "--rootfs", "p=%s" % root, policies=other)
        self.assertEqual(run.nodes()["a"]["phase"], "Error", str(run))
        self.assertIn("no policy matches", run.nodes()["a"]["message"])

    def test_a_program_outside_the_host_view_is_shown_and_nothing_beside_it(self):
        folder = pathlib.Path("/srv/bulkhead-test-%d" % os.getpid())
        folder.mkdir(parents=True)
        self.addCleanup(shutil.rmtree, folder)
        shutil.copy(os.environ["NOOP_PLUGIN"], folder / "noop")
        (folder / "beside").write_text("not shown")
        # A port of its own: cpp-httplib sets no SO_REUSEADDR, so connections of an earlier test would keep it out.
        manifest = plugin("noop", None, 14398, command=[str(folder / "noop")], args=["14398"])
        look = "def answer(h, act, args):\n    h.reply({'node': {'phase': 'Succeeded', 'message': str(os.path.exists(act['path']))}})\n"
        for tier in ("strict", "restricted"):
            with self.subTest(tier=tier):
                run = self.run_tasks({"a": ("noop", {}), "b": ("look", {"path": str(folder / "noop")})},
                                     [manifest, plugin("look", look, 14356)], "--tier", tier)
                self.assertEqual(run.code, 0, str(run))
                self.assertEqual(run.nodes()["a"]["phase"], "Succeeded")
                self.assertIn("%s is shown to the plugin read-only" % (folder / "noop"), run.err)
                if tier == "strict":
                    self.assertEqual(run.nodes()["b"]["message"], "False")

    def test_a_program_where_compartments_have_their_own_is_refused(self):
        program = self.dir / "program"
        shutil.copy("/bin/true", program)
        run = self.run_tasks({"a": ("x", {})}, [plugin("x", None, 14355, command=[str(program)], args=[])])
        self.assertEqual(run.code, 2, str(run))
        self.assertIn("put it under /opt", run.err)


if __name__ == "__main__":
    unittest.main()
