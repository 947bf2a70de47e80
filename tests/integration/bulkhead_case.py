"""What the black-box tests share: a scratch folder, manifests as values, and a run of the real binary."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

BULKHEAD = os.environ["BULKHEAD"]
ROOT = pathlib.Path(__file__).resolve().parents[2]

# A plugin whose whole behaviour is one function `answer(handler, act, args)`, in terms of raw sockets where
# http.server would be too polite.
SERVER = """
import json, os, socket, sys, threading, time
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
TOKEN = open('/var/run/argo/token').read().strip()
class Plugin(BaseHTTPRequestHandler):
    def log_message(self, *args): pass
    def reply(self, value, status=200):
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)
    def raw(self, *chunks):
        for chunk in chunks:
            self.wfile.write(chunk)
        self.wfile.flush()
        self.connection.close()
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        if self.headers.get('Authorization') != 'Bearer ' + TOKEN:
            return self.reply({}, 403)
        if self.path != '/api/v1/template.execute':
            return self.reply({}, 404)
        args = json.loads(body)
        answer(self, args['template']['plugin'].get(NAME), args)
%(answer)s
NAME = %(name)r
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(('', %(port)d), Plugin).serve_forever()
"""


def plugin(name, answer, port, source=None, **container):
    """An ExecutorPlugin manifest; `answer` is Python source, `source` replaces the whole program."""
    program = source if source is not None else SERVER % {"answer": answer, "name": name, "port": port}
    spec = {
        "name": name + "-executor-plugin",
        "image": "python:alpine",
        "command": ["python3", "-u", "-c"],
        "args": [program],
        "ports": [{"containerPort": port}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65534},
        "resources": {"requests": {"memory": "64Mi", "cpu": "250m"}, "limits": {"memory": "128Mi", "cpu": "1"}},
    }
    spec.update(container)
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ExecutorPlugin",
        "metadata": {"name": name, "annotations": {"bulkhead.dev/handles": name}},
        "spec": {"sidecar": {"container": {k: v for k, v in spec.items() if v is not None}}},
    }


def taskset(tasks, name="wf"):
    """tasks: node id -> (plugin, act)."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTaskSet",
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"tasks": {node: {"name": "t-" + node, "plugin": {key: act}} for node, (key, act) in tasks.items()}},
    }


def policy(*names):
    """Phases, a message and one parameter for each plugin."""
    return "---\n".join(
        json.dumps({
            "apiVersion": "mutation.policy/v1",
            "kind": "MutationPolicy",
            "metadata": {"name": name, "owner": "tests@example.com", "reviewBy": "2099-01-01"},
            "spec": {
                "mode": "enforce",
                "match": {"plugin": {"name": name}, "rpc": ["template.execute"], "namespaces": ["*"], "templates": ["*"]},
                "allow": [
                    {"id": "phase", "path": "node.phase", "value": {"enum": ["Pending", "Running", "Succeeded", "Failed", "Error"]}},
                    {"id": "message", "path": "node.message", "value": {"charset": "text", "maxBytes": 4096}},
                    {"id": "name", "path": "node.outputs.parameters[*].name", "value": {"charset": "token", "maxBytes": 64}},
                    {"id": "value", "path": "node.outputs.parameters[*].value", "value": {"charset": "printable", "maxBytes": 4096}},
                    {"id": "requeue", "path": "requeue", "value": {"duration": {"min": "1s", "max": "1h"}}},
                ],
            },
        }) + "\n" for name in names)


OK_ANSWER = """
def answer(h, act, args):
    h.reply({'node': {'phase': 'Succeeded', 'message': 'ok'}})
"""


class Run:
    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    def nodes(self):
        return json.loads(self.out)["status"]["nodes"]

    def __str__(self):
        return "exit %d\n--- stdout\n%s\n--- stderr\n%s" % (self.code, self.out, self.err)


class BulkheadCase(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="bulkhead-it-"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        (self.dir / "tmp").mkdir()
        (self.dir / "plugins").mkdir()
        self.audit = self.dir / "audit.jsonl"

    def write(self, name, content):
        path = self.dir / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    def bulkhead(self, *args, timeout=150, stdin=None, env=None):
        environment = {"PATH": os.environ["PATH"], "TMPDIR": str(self.dir / "tmp")}
        environment.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        environment.update(env or {})
        return Run(subprocess.run([BULKHEAD, *map(str, args)], capture_output=True, text=True, errors="replace",
                                  timeout=timeout, input=stdin, env=environment, cwd=self.dir))

    def run_tasks(self, tasks, plugins, *args, policies=None, output="json", **kwargs):
        """Runs tasks (or a document) over plugins; policies default to the common one for each plugin."""
        document = taskset(tasks) if tasks and "kind" not in tasks else tasks
        self.write("tasks.json", document)
        for manifest in plugins:
            self.write("plugins/%s.json" % manifest["metadata"]["name"], manifest)
        text = policy(*[p["metadata"]["name"] for p in plugins]) if policies is None else policies
        command = ["run", self.dir / "tasks.json", "--plugins", self.dir / "plugins", "--audit", self.audit, "-o", output]
        if text:
            command += ["--policy", self.write("policy.yaml", text)]
        return self.bulkhead(*command, *args, **kwargs)

    def records(self, event=None):
        records = [json.loads(line) for line in self.audit.read_text().splitlines()]
        return [r for r in records if event is None or r["event"] == event]

    def assert_verifies(self):
        run = self.bulkhead("audit", "verify", self.audit)
        self.assertEqual(run.code, 0, str(run))
