"""What an agent asks of an API server, as (API group, resource, verb).

Every test of an agent checks that it asks for nothing else, one that it asks for all of it, and the tests of the manifests
that their roles grant this and no more.
"""


def of(group, resource, *verbs):
    return {(group, resource, verb) for verb in verbs}


TASKS = of("argoproj.io", "workflowtasksets", "list", "watch") | of("argoproj.io", "workflowtasksets/status", "patch")
# For `secretKeyRef` in HTTP templates' headers and in plugins' env; by name only.
SECRETS = of("", "secrets", "get")
# With --lease.
LEASE = of("coordination.k8s.io", "leases", "get", "create", "update")

# With which flags an agent asks for more, each by name. No role of ours has it: deploy/kubernetes/README.md says what to add.
LAUNCHES = ("--plugins", "--plugin-configmap", "--workflow-plugins")
ENV = of("", "configmaps", "get") | of("", "pods", "get")
MANIFESTS = {"--plugin-configmap": of("", "configmaps", "get"), "--workflow-plugins": of("argoproj.io", "workflows", "get")}

# In a role that is not the agent's alone: Argo's executor, in the pods of the same workflows, reports by it.
OF_ARGO = {"agent-container": of("argoproj.io", "workflowtaskresults", "create", "patch")}
ROLES = {"agent-container": TASKS | SECRETS | OF_ARGO["agent-container"], "external-agent": TASKS | SECRETS | LEASE}


def of_flags(flags):
    """All that an agent with these flags may ask for."""
    rights = TASKS | SECRETS
    if "--lease" in flags:
        rights = rights | LEASE
    for flag in flags:
        rights = rights | MANIFESTS.get(flag, set()) | (ENV if flag in LAUNCHES else set())
    return rights
