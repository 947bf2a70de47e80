"""A running `bulkhead serve`, and its callers: the stock agent, a controller with the plugins of 2021, strangers."""

import http.client
import json
import os
import pathlib
import queue
import signal
import socket
import subprocess
import threading
import time

from bulkhead_case import BULKHEAD, policy

TOKEN = "T0kenOfTheGateway-0123456789abcd"


class Gateway:
    """The real binary in front of `plugins` (manifests). `case` is a BulkheadCase."""

    def __init__(self, case, plugins, *args, policies=None, token=TOKEN, wait=True, tls=None, token_file=None, prefix=()):
        self.case = case
        for manifest in plugins:
            case.write("plugins/%s.json" % manifest["metadata"]["name"], manifest)
        text = policy(*[p["metadata"]["name"] for p in plugins]) if policies is None else policies
        self.policy_file = pathlib.Path(case.write("policy.yaml", text))
        self.token_file = pathlib.Path(token_file or case.write("token", token))
        command = [*prefix, BULKHEAD, "serve", "--plugins", case.dir / "plugins", "--policy", self.policy_file, "--audit", case.audit,
                   "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--token-file", self.token_file, *(tls or []), *args]
        environment = {"PATH": os.environ["PATH"], "TMPDIR": str(case.dir / "tmp")}
        environment.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        self.process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        errors="replace", env=environment, cwd=case.dir)
        self.err = []
        self.lines = queue.Queue()
        self.readers = [threading.Thread(target=self._read, daemon=True), threading.Thread(target=self._read_err, daemon=True)]
        for reader in self.readers:
            reader.start()
        case.addCleanup(self.kill)
        self.port = self.admin_port = None
        if wait:
            self.until("ready")

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _read_err(self):
        for line in self.process.stderr:
            self.err.append(line)

    def until(self, wanted):
        """Reads what is printed, up to the line that starts so."""
        while True:
            line = self.lines.get(timeout=60)
            if line is None:
                self.process.wait()
                self.case.fail("the gateway ended: %s\n%s" % (self.process.returncode, "".join(self.err)))
            if line.startswith("plugin RPC on "):
                self.port = int(line.rsplit(":", 1)[1])
            elif "/metrics on " in line:
                self.admin_port = int(line.rsplit(":", 1)[1])
            if line.startswith(wanted):
                return

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for reader in self.readers:
            reader.join(timeout=5)
        self.process.stdout.close()
        self.process.stderr.close()

    def stop(self, timeout=60):
        """SIGTERM; the exit code, and all of standard error."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=timeout)
        for reader in self.readers:
            reader.join(timeout=5)
        return code, "".join(self.err)

    # --- callers ---

    def connection(self, timeout=40):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method, body, token=TOKEN, connection=None, headers=None, timeout=40):
        """As Argo's Go client: (status, body as text)."""
        own = connection is None
        connection = connection or self.connection(timeout)
        sent = {"Content-Type": "application/json"}
        if token:
            sent["Authorization"] = "Bearer " + token
        sent.update(headers or {})
        connection.request("POST", "/api/v1/" + method, body if isinstance(body, (str, bytes)) else json.dumps(body), sent)
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        if own:
            connection.close()
        return response.status, text

    def execute(self, plugin, act, workflow="wf", template="t", **kwargs):
        status, text = self.call("template.execute", execute_request(plugin, act, workflow, template), **kwargs)
        return json.loads(text) if status == 200 else (status, text)

    def admin(self, path, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        connection.request(method, path)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def metric(self, name, labels=""):
        for line in self.admin("/metrics")[1].splitlines():
            if line.startswith(name + ("{" + labels + "}" if labels else " ")):
                return int(line.rsplit(" ", 1)[1])
        return 0

    def wait_for(self, condition, what, seconds=15):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return
            time.sleep(0.02)
        self.case.fail("not in time: " + what)

    def raw(self, *chunks, timeout=20, shutdown=False):
        """Sends bytes, and returns all that comes until the end."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            try:
                for chunk in chunks:
                    s.sendall(chunk)
                if shutdown:
                    s.shutdown(socket.SHUT_WR)
            except OSError:
                pass
            got = b""
            try:
                while True:
                    data = s.recv(65536)
                    if not data:
                        return got
                    got += data
            except ConnectionResetError:
                return got


def workflow_arg(name="wf"):
    return {"metadata": {"name": name, "namespace": "ns", "uid": "uid-" + name}}


def execute_request(plugin, act, workflow="wf", template="t"):
    return {"workflow": workflow_arg(workflow), "template": {"name": template, "plugin": {plugin: act}}}
