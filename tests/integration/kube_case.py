"""What the tests of `bulkhead agent` share: an API server, a controller, a sidecar, and the agent beside them."""

import http.client
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

from bulkhead_case import BULKHEAD, ROOT, BulkheadCase, policy

sys.path.insert(0, str(ROOT / "tests" / "support"))
import rights  # noqa: E402
from fake_apiserver import FULFILLED, LEASES, TASKSETS, FakeApiServer, certificates  # noqa: E402

UID = "6f1c0e5e-0000-4000-8000-000000000001"


def taskset(tasks, name="wf", uid=UID, labels=None):
    """tasks: node id -> value of template.plugin's only key, `side`."""
    return {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTaskSet",
        "metadata": {"name": name, "namespace": "argo", "uid": "set-" + uid, "labels": labels or {},
                     "ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": name, "uid": uid}]},
        "spec": {"tasks": {node: template(node, act) for node, act in tasks.items()}},
    }


def template(node, act=None):
    return {"name": "t-" + node, "inputs": {}, "outputs": {}, "metadata": {"labels": {"App": "1", "app": "2"}},
            "plugin": {"side": act if act is not None else {}}}


class Sidecar:
    """A plugin as Argo runs it: plain HTTP on loopback, with a token. Remembers every call and every answer."""

    def __init__(self, answer=None):
        self.answer = answer or (lambda call: {"node": {"phase": "Succeeded", "message": "ok"}})
        self.token = "t" * 32
        self.lock = threading.Lock()
        self.calls = []  # dicts: node, key, attempt, begun, ended, answered
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_POST(self):
                args = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if self.headers.get("Authorization") != "Bearer " + outer.token:
                    return self.send_error(403)
                call = {"node": args["template"]["name"][2:], "key": self.headers.get("Idempotency-Key"), "args": args,
                        "attempt": int(self.headers.get("Bulkhead-Attempt") or 0), "begun": time.monotonic(), "ended": None,
                        "answered": False, "workflow": args["workflow"]["metadata"]["name"]}
                with outer.lock:
                    outer.calls.append(call)
                reply = outer.answer(call)
                call["ended"] = time.monotonic()
                body = json.dumps(reply).encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    call["answered"] = True
                except OSError:
                    pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def nodes(self):
        with self.lock:
            return [c["node"] for c in self.calls]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Controller:
    """Argo's controller, as far as the task set goes: takes results out, first the status, then the task."""

    def __init__(self, api, every=0.05):
        self.api, self.every = api, every
        self.results = {}  # node -> list of results that were reconciled
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(self.every):
            with self.api.lock:
                for (group, plural, namespace, name), obj in list(self.api.objects.items()):
                    if (group, plural) != TASKSETS:
                        continue
                    done = {n: r for n, r in obj.get("status", {}).get("nodes", {}).items() if r.get("phase") in FULFILLED}
                    if not done:
                        continue
                    for node, result in done.items():
                        self.results.setdefault(node, []).append(result)
                    self.api.change(*TASKSETS, name, {"status": {"nodes": dict.fromkeys(done)}})
                    self.api.change(*TASKSETS, name, {"spec": {"tasks": dict.fromkeys(done)}})

    def stop(self):
        self.stopping.set()
        self.thread.join()


def side_policy(transport="plaintext-loopback", name="side"):
    documents = []
    for line in policy(name).split("---\n"):
        document = json.loads(line)
        if transport:
            document["spec"]["transport"] = transport
        document["spec"]["allow"] += [
            {"id": "progress", "path": "node.progress", "value": {"pattern": "[0-9]+/[0-9]+"}},
            {"id": "result", "path": "node.outputs.result", "value": {"charset": "printable", "maxBytes": 1048576}}]
        documents.append(json.dumps(document) + "\n")
    return "---\n".join(documents)


class Agent:
    def __init__(self, case, process, log):
        self.case, self.process, self.log = case, process, log

    def kill(self):
        self.process.kill()
        self.process.wait()

    def terminate(self, timeout=40):
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout=40):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.case.fail("the agent does not end\n" + self.text())

    def text(self):
        return pathlib.Path(self.log).read_text(errors="replace")

    # --- as who operates it sees it; needs --metrics-listen 127.0.0.1:0 ---

    def admin(self, path, method="GET"):
        self.case.wait_for(lambda: "are served" in self.text(), self)
        port = int(re.search(r'are served","address":"127\.0\.0\.1:(\d+)"', self.text()).group(1))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def ready(self):
        status, text = self.admin("/readyz")
        return status, json.loads(text)

    def metric(self, name, labels=""):
        for line in self.admin("/metrics")[1].splitlines():
            if line.startswith(name + ("{" + labels + "}" if labels else " ")):
                return int(line.rsplit(" ", 1)[1])
        return 0


class KubeCase(BulkheadCase):
    def setUp(self):
        super().setUp()
        certificates(self.dir)
        self.api = FakeApiServer(self.dir).start()
        self.addCleanup(self.api.stop)
        self.addCleanup(self.check_rights)
        self.flags_given = set()
        self.kubeconfig = self.api.kubeconfig(self.dir / "kubeconfig")
        self.tokens = self.dir / "argo"
        self.tokens.mkdir()
        self.policy_file = self.write("policy.yaml", side_policy())
        self.started = 0

    def check_rights(self):
        with self.api.lock:
            asked = {right[:3] for right in self.api.asked}
        self.assertLessEqual(asked, rights.of_flags(self.flags_given), "an agent asked for what no role grants")

    def sidecar(self, answer=None, container="side-executor-plugin"):
        sidecar = Sidecar(answer)
        self.addCleanup(sidecar.close)
        folder = self.tokens / container
        folder.mkdir(exist_ok=True)
        (folder / "token").write_text(sidecar.token)
        self.argo_environment = {"ARGO_PLUGIN_NAMES": json.dumps([container]),
                                 "ARGO_PLUGIN_ADDRESSES": json.dumps(["http://localhost:%d" % sidecar.port])}
        return sidecar

    def agent(self, *args, workflow="wf", env=None, name="", prefix=(), journal="journal", audit=None, program=None, level="debug"):
        environment = {"PATH": os.environ["PATH"], "TMPDIR": str(self.dir / "tmp"), "ARGO_AGENT_PATCH_RATE": "10s"}
        environment.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        environment.update(getattr(self, "argo_environment", {}))
        if workflow:
            environment.update({"ARGO_WORKFLOW_NAME": workflow, "ARGO_WORKFLOW_UID": UID})
        environment.update(env or {})
        cluster = ["--kubeconfig", self.kubeconfig] if self.kubeconfig else []
        command = [*prefix, program or BULKHEAD, "agent", "main", *cluster, "--tokens", self.tokens,
                   "--policy", self.policy_file, "--journal", self.dir / (journal + name),
                   "--audit", audit or self.dir / ("audit%s.jsonl" % name),
                   "--loglevel", level, "--log-format", "json", "--gloglevel", "0", *args]
        self.flags_given.update(a for a in args if str(a).startswith("--"))
        self.started += 1
        log = self.dir / ("agent-%d.log" % self.started)
        with open(log, "w") as out:
            process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=subprocess.STDOUT, env=environment,
                                       cwd=self.dir)
        agent = Agent(self, process, log)
        self.addCleanup(lambda: process.poll() is None and agent.kill())
        return agent

    def wait_for(self, condition, agent=None, timeout=30):
        ended = lambda: agent is not None and agent.process.poll() is not None
        self.api.wait(lambda: condition() or ended(), timeout)
        if not condition():
            self.fail("did not come to pass" + ("\n" + agent.text() if agent else ""))

    def wait_phases(self, agent, expected, workflow="wf", timeout=30):
        self.wait_for(lambda: {n: r.get("phase") for n, r in self.api.nodes(workflow).items()} == expected, agent, timeout)
