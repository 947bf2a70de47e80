"""A Kubernetes API server as far as an agent can tell: TLS, bearer tokens, RBAC, list, watch with bookmarks and 410,
merge patches on the status subresource with pruning and validation, optimistic updates, and faults on demand.

What it follows: kubernetes.io/docs/reference/using-api/api-concepts (list, watch, bookmarks, 410), RFC 7386 (merge
patch), the CRD's schema of WorkflowTaskSet for what is pruned and what is invalid, etcd's limit on an object.
Runs inside the test's process; every public method may be called from any thread.
"""

import copy
import json
import os
import pathlib
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TASKSETS = ("argoproj.io", "workflowtasksets")
LEASES = ("coordination.k8s.io", "leases")
OBJECT_LIMIT = 1536 * 1024
BODY_LIMIT = 3 * 1024 * 1024
FULFILLED = {"Succeeded", "Failed", "Error", "Skipped", "Omitted"}
# NodeResult and what is under it, as the CRD has it: anything else is pruned.
OUTPUTS = {"artifacts": list, "exitCode": str, "parameters": list, "result": str}
RESULT = {"message": str, "outputs": dict, "phase": str, "progress": str}


def certificates(folder, env=None):
    """A CA and a server certificate for localhost and 127.0.0.1, made with the openssl program."""
    folder = pathlib.Path(folder)
    run = lambda *a: subprocess.run(["openssl", *a], cwd=folder, check=True, capture_output=True, env=env)
    ec = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run("req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test-ca",
        "-addext", "basicConstraints=critical,CA:TRUE")
    (folder / "san").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:10.77.0.1\n")
    run("req", *ec, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=apiserver")
    run("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.crt",
        "-days", "2", "-extfile", "san")


def merge(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    target = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = merge(target.get(key), value)
    return target


class Invalid(Exception):
    pass


def prune(value, fields, where):
    kept = {}
    for key, kind in fields.items():
        if key not in value:
            continue
        if not isinstance(value[key], kind):
            raise Invalid("%s.%s: Invalid value: must be of type %s" % (where, key, kind.__name__))
        kept[key] = value[key]
    return kept


def prune_status(status):
    nodes = {}
    for node, result in status.get("nodes", {}).items():
        where = "status.nodes." + node
        if not isinstance(result, dict):
            raise Invalid(where + ": Invalid value: must be an object")
        nodes[node] = prune(result, RESULT, where)
        if "outputs" in nodes[node]:
            nodes[node]["outputs"] = prune(nodes[node]["outputs"], OUTPUTS, where + ".outputs")
    return {"nodes": nodes} if nodes or "nodes" in status else {}


def selects(selector, labels):
    for term in filter(None, selector.split(",")):
        if "!=" in term:
            key, value = term.split("!=")
            if labels.get(key) == value:
                return False
        elif "=" in term:
            key, value = term.replace("==", "=").split("=")
            if labels.get(key) != value:
                return False
        elif term.startswith("!"):
            if term[1:] in labels:
                return False
        elif term not in labels:
            return False
    return True


class FakeApiServer:
    def __init__(self, folder, host="127.0.0.1", token="sa-token-of-the-agent"):
        self.folder = pathlib.Path(folder)
        self.host, self.port = host, 0
        self.tokens = {token}
        self.denied = set()  # (verb, resource or resource/subresource)
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.objects = {}  # (group, plural, namespace, name) -> object
        self.events = []   # (version, group, plural, type, object, object before)
        self.version = 1000
        self.compacted = 0
        self.requests = []  # (time, verb, resource, status)
        self.asked = set()  # (API group, resource, verb, name)
        self.faults = []    # functions of (verb, resource) to None or a dict: status, retry_after, close, delay, after
        self.reject = None  # function of a merged object to None or (status, message)
        self.bookmark_every = 0.5
        self.bookmarked = 0  # the version of the last bookmark that was sent
        self.server = None
        self.generation = 0  # of the listener: watches of an older one end
        self.connections = set()

    # --- life ---

    def start(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "server.crt", self.folder / "server.key")
        outer = self

        class Handler(Exchange):
            api = outer

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128
            allow_reuse_address = True

            def finish_request(self, request, address):
                # In the connection's own thread: a handshake that hangs holds up nobody.
                request.settimeout(20)
                try:
                    request = context.wrap_socket(request, server_side=True)
                except (OSError, ssl.SSLError):
                    return
                with outer.lock:
                    outer.connections.add(request)
                try:
                    Handler(request, address, self)
                except (OSError, ssl.SSLError, ValueError):
                    pass
                finally:
                    with outer.lock:
                        outer.connections.discard(request)
                    request.close()

            def handle_error(self, request, address):
                pass

        self.server = Server((self.host, self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self):
        """As a killed process: the port is closed and every connection cut."""
        if self.server is None:
            return
        self.server.shutdown()
        self.server.server_close()
        self.server = None
        self.cut()

    def cut(self):
        with self.changed:
            self.generation += 1
            connections = list(self.connections)
            self.changed.notify_all()
        for connection in connections:
            try:
                # Of the TCP connection: no close_notify.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            except OSError:
                pass

    def kubeconfig(self, path, token=None, server=None, ca=None):
        ca = ca if ca is not None else str(self.folder / "ca.crt")
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "c", "cluster": {"server": server or "https://%s:%d" % (self.host, self.port),
                                                   "certificate-authority": ca}}],
            "users": [{"name": "u", "user": {"token": token or next(iter(self.tokens))}}],
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": "argo"}}],
        }
        pathlib.Path(path).write_text(json.dumps(config))
        return str(path)

    # --- objects, as the test and its controller see them ---

    def put(self, group, plural, obj):
        with self.changed:
            meta = obj.setdefault("metadata", {})
            meta.setdefault("namespace", "argo")
            meta.setdefault("uid", os.urandom(16).hex())
            key = (group, plural, meta["namespace"], meta["name"])
            self._store(key, obj, "MODIFIED" if key in self.objects else "ADDED")
            return copy.deepcopy(self.objects[key])

    def change(self, group, plural, name, patch, namespace="argo"):
        """A merge patch of the whole object, by the controller."""
        with self.changed:
            key = (group, plural, namespace, name)
            self._store(key, merge(self.objects[key], patch), "MODIFIED")

    def delete(self, group, plural, name, namespace="argo"):
        with self.changed:
            obj = self.objects.pop((group, plural, namespace, name))
            self.version += 1
            obj = copy.deepcopy(obj)
            obj["metadata"]["resourceVersion"] = str(self.version)
            self.events.append((self.version, group, plural, "DELETED", obj, obj))
            self.changed.notify_all()

    def get(self, group, plural, name, namespace="argo"):
        with self.lock:
            return copy.deepcopy(self.objects.get((group, plural, namespace, name)))

    def nodes(self, name="wf", namespace="argo"):
        obj = self.get(*TASKSETS, name, namespace)
        return (obj or {}).get("status", {}).get("nodes", {})

    def compact(self):
        """Watches from before now get 410."""
        with self.lock:
            self.compacted = self.version
            self.events.clear()

    def count(self, verb, resource=None):
        with self.lock:
            return len([r for r in self.requests if r[1] == verb and resource in (None, r[2])])

    def wait(self, condition, timeout=30):
        """Until `condition()` holds, looked at after each change."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self.changed.wait(min(left, 0.2))
            return True

    def _store(self, key, obj, kind):
        before = self.objects.get(key)
        self.version += 1
        obj = dict(obj, metadata=dict(obj["metadata"], resourceVersion=str(self.version)))
        self.objects[key] = obj
        # Immutable from here: a change makes a new one.
        self.events.append((self.version, key[0], key[1], kind, obj, before))
        self.changed.notify_all()


class Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api = None
    wbufsize = 64 * 1024

    def log_message(self, *args):
        pass

    def answer(self, status, body, headers=()):
        data = json.dumps(body).encode()
        self.status = status
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def fail(self, status, reason, message, headers=()):
        self.answer(status, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message,
                             "code": status}, headers)

    def parse(self):
        url = urllib.parse.urlsplit(self.path)
        self.query = {k: v[-1] for k, v in urllib.parse.parse_qs(url.query, keep_blank_values=True).items()}
        parts = [urllib.parse.unquote(p) for p in url.path.strip("/").split("/")]
        group = "" if parts[0] == "api" else parts[1]
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        self.namespace = ""
        if rest[:1] == ["namespaces"] and len(rest) > 2:
            self.namespace, rest = rest[1], rest[2:]
        self.group, self.plural = group, rest[0]
        self.name = rest[1] if len(rest) > 1 else ""
        self.sub = rest[2] if len(rest) > 2 else ""
        verb = {"GET": "get" if self.name else "list", "POST": "create", "PUT": "update", "PATCH": "patch"}[self.command]
        if verb == "list" and self.query.get("watch") == "true":
            verb = "watch"
        self.verb = verb
        self.resource = self.plural + ("/" + self.sub if self.sub else "")

    def handle_one(self):
        api = self.api
        self.status = 0
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_LIMIT:
            self.close_connection = True
            return self.fail(413, "RequestEntityTooLarge", "Request entity too large: limit is %d" % BODY_LIMIT)
        body = self.rfile.read(length) if length else b""
        self.parse()
        begun = time.monotonic()
        try:
            after = None
            with api.lock:
                faults = list(api.faults)
            for fault in faults:
                wanted = fault(self.verb, self.resource)
                if wanted is None:
                    continue
                time.sleep(wanted.get("delay", 0))
                if wanted.get("close"):
                    return self.drop()
                if "status" in wanted:
                    headers = [("Retry-After", str(wanted["retry_after"]))] if "retry_after" in wanted else []
                    return self.fail(wanted["status"], "Injected", wanted.get("message", "injected"), headers)
                after = wanted.get("after")
            if self.headers.get("Authorization", "").removeprefix("Bearer ") not in api.tokens:
                return self.fail(401, "Unauthorized", "Unauthorized")
            if (self.verb, self.resource) in api.denied:
                return self.fail(403, "Forbidden", '%s.%s is forbidden: User "system:serviceaccount:argo:agent" cannot %s '
                                 'resource "%s" in API group "%s" in the namespace "%s"' % (
                                     self.plural, self.group, self.verb, self.resource, self.group, self.namespace))
            getattr(self, "do_" + self.verb)(body, after)
        finally:
            with api.changed:
                api.requests.append((begun, self.verb, self.resource, self.status))
                api.asked.add((self.group, self.resource, self.verb, self.name))
                api.changed.notify_all()

    def drop(self):
        self.close_connection = True
        socket.socket.shutdown(self.connection, socket.SHUT_RDWR)

    do_GET = do_POST = do_PUT = do_PATCH = handle_one

    @property
    def key(self):
        return (self.group, self.plural, self.namespace, self.name)

    # --- verbs ---

    def do_get(self, body, after):
        obj = self.api.get(self.group, self.plural, self.name, self.namespace)
        if obj is None:
            return self.fail(404, "NotFound", '%s "%s" not found' % (self.plural, self.name))
        self.answer(200, obj)

    def matches(self, obj):
        field = self.query.get("fieldSelector", "")
        if field.startswith("metadata.name=") and obj["metadata"]["name"] != field[len("metadata.name="):]:
            return False
        return obj["metadata"]["namespace"] == self.namespace and selects(self.query.get("labelSelector", ""),
                                                                          obj["metadata"].get("labels", {}))

    def do_list(self, body, after):
        with self.api.lock:
            items = [o for (g, p, _, _), o in sorted(self.api.objects.items()) if (g, p) == (self.group, self.plural)]
            items = [o for o in items if self.matches(o)]
            begin, limit = int(self.query.get("continue") or 0), int(self.query.get("limit") or 500)
            meta = {"resourceVersion": str(self.api.version)}
            if begin + limit < len(items):
                meta["continue"] = str(begin + limit)
            text = {"kind": "List", "apiVersion": "v1", "metadata": meta, "items": items[begin:begin + limit]}
        self.answer(200, text)

    def do_create(self, body, after):
        obj = json.loads(body)
        with self.api.lock:
            key = (self.group, self.plural, self.namespace, obj["metadata"]["name"])
            if key in self.api.objects:
                return self.fail(409, "AlreadyExists", "exists")
            obj = self.api.put(self.group, self.plural, obj)
        self.answer(201, obj)

    def do_update(self, body, after):
        obj = json.loads(body)
        with self.api.lock:
            old = self.api.objects.get(self.key)
            if old is None:
                return self.fail(404, "NotFound", "not found")
            if obj["metadata"].get("resourceVersion") != old["metadata"]["resourceVersion"]:
                return self.fail(409, "Conflict", "the object has been modified; please apply your changes to the latest version")
            obj["metadata"] = dict(old["metadata"], **obj["metadata"])
            self.api._store(self.key, obj, "MODIFIED")
            obj = self.api.objects[self.key]
        self.answer(200, obj)

    def do_patch(self, body, after):
        if self.headers.get("Content-Type") != "application/merge-patch+json":
            return self.fail(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        try:
            patch = json.loads(body)
        except ValueError:
            return self.fail(400, "BadRequest", "error decoding patch")
        with self.api.lock:
            old = self.api.objects.get(self.key)
            if old is None:
                return self.fail(404, "NotFound", '%s "%s" not found' % (self.plural, self.name))
            version = patch.get("metadata", {}).get("resourceVersion")
            if version not in (None, old["metadata"]["resourceVersion"]):
                return self.fail(409, "Conflict", "the object has been modified; please apply your changes to the latest version")
            # The status subresource changes nothing but the status; the object itself all but that.
            new = dict(old)
            if self.sub == "status":
                new["status"] = merge(old.get("status", {}), patch.get("status", {}))
            else:
                new = merge(old, {k: v for k, v in patch.items() if k != "status"})
            try:
                if "status" in new:
                    new["status"] = prune_status(new["status"])
            except Invalid as error:
                return self.fail(422, "Invalid", 'WorkflowTaskSet.argoproj.io "%s" is invalid: %s' % (self.name, error))
            refused = self.api.reject(new) if self.api.reject else None
            if refused:
                return self.fail(refused[0], "Rejected", refused[1])
            if len(json.dumps(new)) > OBJECT_LIMIT:
                return self.fail(500, "InternalError", "etcdserver: request is too large")
            self.api._store(self.key, new, "MODIFIED")
            new = self.api.objects[self.key]
        if after == "drop":  # it was applied, and nobody is told
            return self.drop()
        self.answer(200, new)

    def do_watch(self, body, after):
        api = self.api
        at = int(self.query.get("resourceVersion") or 0)
        end = time.monotonic() + float(self.query.get("timeoutSeconds") or 300)
        self.status = 200
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

        def send(kind, obj):
            line = json.dumps({"type": kind, "object": obj}).encode() + b"\n"
            # In two chunks: a reader must not take a chunk for an event.
            half = len(line) // 2
            for part in (line[:half], line[half:]):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()

        def gone():
            send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: %d" % at})

        with api.lock:
            generation, begin = api.generation, len(api.events)
            if at < api.compacted:
                gone()
                begin = -1
            else:
                begin = next((i for i, e in enumerate(api.events) if e[0] > at), len(api.events))
        bookmark = time.monotonic() + api.bookmark_every
        while begin >= 0 and time.monotonic() < end:
            with api.changed:
                if api.generation != generation:
                    return self.drop()
                if len(api.events) < begin:  # compacted meanwhile; this watch goes on
                    begin = 0
                batch = api.events[begin:]
                if not batch and time.monotonic() < bookmark:
                    api.changed.wait(min(0.1, max(0.0, bookmark - time.monotonic())))
                    continue
                begin += len(batch)
                version = api.version
            for number, group, plural, kind, obj, before in batch:
                if (group, plural) != (self.group, self.plural) or number <= at:
                    continue
                now = kind != "DELETED" and self.matches(obj)
                was = before is not None and self.matches(before)
                # What leaves the selection is deleted for this watch, what enters is added.
                if now or was:
                    send("ADDED" if now and not was else "MODIFIED" if now else "DELETED", obj)
            at = max(at, version)
            if time.monotonic() >= bookmark:
                bookmark = time.monotonic() + api.bookmark_every
                if self.query.get("allowWatchBookmarks") == "true":
                    send("BOOKMARK", {"kind": "WorkflowTaskSet", "apiVersion": "argoproj.io/v1alpha1",
                                      "metadata": {"resourceVersion": str(version)}})
                    with api.changed:
                        api.bookmarked = version
                        api.changed.notify_all()
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()
