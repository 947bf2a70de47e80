"""An agent's container beside an API server (tests/support): the task set it is for comes to its results, and it ends.

    agent_in_image.py FOLDER AUDIT ENGINE... -- FLAGS... -- IMAGE...

`ENGINE create FLAGS MORE IMAGE` makes the container, where MORE gives it what an agent's pod has: the service account,
a network where the server is, the environment of Argo's controller. AUDIT is the file that it writes its audit log to.
Prints the milliseconds from the container's start to the first answer of a plugin.
"""

import datetime
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fake_apiserver import TASKSETS, FakeApiServer, certificates  # noqa: E402

UID = "6f1c0e5e-0000-4000-8000-000000000001"


def main(folder, audit, engine, flags, image):
    folder, audit = pathlib.Path(folder), pathlib.Path(audit)
    certificates(folder)
    api = FakeApiServer(folder, token="a-service-accounts-token").start()
    account = folder / "account"
    account.mkdir()
    (account / "token").write_text("a-service-accounts-token")
    (account / "namespace").write_text("argo")
    (account / "ca.crt").write_bytes((folder / "ca.crt").read_bytes())
    os.chmod(account, 0o755)
    api.put(*TASKSETS, {
        "apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTaskSet",
        "metadata": {"name": "wf", "ownerReferences": [{"kind": "Workflow", "name": "wf", "uid": UID}]},
        "spec": {"tasks": {"n": {"name": "t", "plugin": {"noop": {}}}}}})
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(api.port), "ARGO_WORKFLOW_NAME": "wf",
                   "ARGO_WORKFLOW_UID": UID, "ARGO_AGENT_PATCH_RATE": "10s", "ARGO_PLUGIN_ADDRESSES": "null", "ARGO_PLUGIN_NAMES": "null"}
    more = ["--network", "host", "-v", "%s:/var/run/secrets/kubernetes.io/serviceaccount:ro" % account]
    for name, value in environment.items():
        more += ["--env", "%s=%s" % (name, value)]
    container = subprocess.run([*engine, "create", *flags, *more, *image], check=True, capture_output=True, text=True).stdout.strip()
    run = subprocess.Popen(engine + ["start", "-a", container], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        done = api.wait(lambda: api.nodes().get("n", {}).get("phase") == "Succeeded" or run.poll() is not None, 30)
        started = subprocess.run(engine + ["inspect", "--format", "{{.State.StartedAt.UnixNano}}", container], check=True,
                                 capture_output=True, text=True).stdout
        api.change(*TASKSETS, "wf", {"metadata": {"labels": {"workflows.argoproj.io/completed": "true"}}})
        output, _ = run.communicate(timeout=30)
        node = api.nodes().get("n", {})
        if not done or run.returncode != 0 or node != {"phase": "Succeeded", "message": "from the shared volume"}:
            sys.exit("node: %s, exit code %s\n%s" % (node, run.returncode, output))
        verbs = {(verb, resource) for _, verb, resource, _ in api.requests}
        allowed = {("list", "workflowtasksets"), ("watch", "workflowtasksets"), ("patch", "workflowtasksets/status")}
        if not verbs <= allowed:
            sys.exit("it asked for more than Argo's role has: %s" % (verbs - allowed))
        call = next(r for r in map(json.loads, audit.open()) if r["event"] == "call")
        if call["tier"] != "restricted":
            sys.exit("tier %s" % call["tier"])
        answered = datetime.datetime.fromisoformat(call["time"].replace("Z", "+00:00")).timestamp()
        print(round((answered - int(started) / 1e9) * 1000))
    finally:
        run.kill()
        subprocess.run(engine + ["rm", "-f", container], capture_output=True)
        api.stop()


if __name__ == "__main__":
    first = sys.argv.index("--")
    second = sys.argv.index("--", first + 1)
    main(sys.argv[1], sys.argv[2], sys.argv[3:first], sys.argv[first + 1:second], sys.argv[second + 1:])
