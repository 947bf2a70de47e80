#!/usr/bin/env python3
"""Makes leaves.txt of Argo's published schemas.

    policy/schema/generate.py DATA > policy/schema/leaves.txt

DATA holds argo-v4.1.2/{workflowtasksets.crd.yaml,executor-plugin.swagger.yml,workflows.crd.minimal.yaml} and
argo-controller-plugins-2021/controller-plugin.swagger.yml. A line is `PATH TYPE RPC[,RPC]`. `[]` in a path is the key
of a keyed list or of a mapping. The fields of a workflow's spec are not in these files: see spec_fields.txt.
"""

import pathlib
import sys

import yaml

# Lists whose entries Argo tells apart by `name`; any other list of objects changes only as a whole.
KEYED = {"parameters", "artifacts"}
# The OpenAPI files leave out what these lists hold.
LISTS = {"Artifacts": "Artifact", "HTTPHeaders": "Header"}
EXECUTE, PRE_OPERATE, PRE_EXECUTE, ADD = "template.execute", "workflow.preOperate", "node.preExecute", "parameters.add"


def load(path):
    with open(path) as file:
        return yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


class OpenApi:
    """The leaves of a definition of a go-swagger file."""

    def __init__(self, path):
        self.definitions = load(path)["definitions"]

    def resolve(self, schema):
        """The schema and the name of its definition, if it has one."""
        name = ""
        while "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            schema = self.definitions[name]
        if name in LISTS:
            schema = {"type": "array", "items": {"$ref": "#/definitions/" + LISTS[name]}}
        return schema, name

    def leaves(self, path, schema, out):
        schema, name = self.resolve(schema)
        kind = schema.get("type")
        if name in ("AnyString", "Duration"):
            out[path] = {"AnyString": "any-string", "Duration": "duration"}[name]
        elif name in ("Time", "FieldsV1", "SuppliedValueFrom", "NoneStrategy", "ZipStrategy"):
            out[path] = "string" if name == "Time" else "anything"
        elif kind == "array":
            item, item_name = self.resolve(schema["items"])
            if item.get("type") == "object" and path.rsplit(".", 1)[-1] in KEYED:
                self.fields(path + "[]", item, out)
            else:
                out[path] = "strings" if item.get("type") == "string" or item_name == "AnyString" else "anything"
        elif kind == "object" and schema.get("properties"):
            self.fields(path, schema, out)
        elif kind == "object" and schema.get("additionalProperties", {}).get("type") == "string":
            out[path + "[]"] = "string"
        else:
            out[path] = kind if kind in ("string", "boolean", "integer") else "anything"

    def fields(self, path, schema, out):
        for field, inner in schema["properties"].items():
            self.leaves(path + "." + field if path else field, inner, out)


def crd_leaves(path, schema, out):
    """The leaves of a structural schema, in which every type is written out."""
    kind = schema.get("type")
    if kind == "array":
        item = schema["items"]
        if item.get("type") == "object" and path.rsplit(".", 1)[-1] in KEYED:
            for field, inner in item["properties"].items():
                crd_leaves(path + "[]." + field, inner, out)
        else:
            out[path] = "strings" if item.get("type") == "string" else "anything"
    elif kind == "object" and schema.get("properties"):
        for field, inner in schema["properties"].items():
            crd_leaves(path + "." + field, inner, out)
    elif kind == "object" and schema.get("additionalProperties", {}).get("type") == "string":
        out[path + "[]"] = "string"
    else:
        out[path] = kind if kind in ("string", "boolean", "integer") else "anything"


def merge(first, second):
    """Both; what one knows more narrowly (an AnyString is a string to a CRD) wins."""
    merged = dict(first)
    for path, kind in second.items():
        known = merged.get(path)
        if known is None or known == "string" or kind == "anything":
            merged[path] = kind if known is None or kind != "string" else known
        if known is not None and known != merged[path] and {known, merged[path]} not in (
                {"string", "any-string"}, {"string", "duration"}, {"string", "anything"}):
            raise SystemExit("error: %s is %s in one schema and %s in another" % (path, known, kind))
    return merged


def version_of(crd):
    return crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]


def generate(data):
    argo = data / "argo-v4.1.2"
    executor = OpenApi(argo / "executor-plugin.swagger.yml")
    hooks = OpenApi(data / "argo-controller-plugins-2021" / "controller-plugin.swagger.yml")
    lines = {}

    def add(leaves, *rpcs):
        for path, kind in leaves.items():
            known, used = lines.get(path, (kind, set()))
            lines[path] = (merge({path: known}, {path: kind})[path], used | set(rpcs))

    reply = {}
    executor.leaves("", {"$ref": "#/definitions/ExecuteTemplateReply"}, reply)
    result = {}
    task_set = version_of(load(argo / "workflowtasksets.crd.yaml"))
    for field, inner in task_set["status"]["properties"]["nodes"]["additionalProperties"]["properties"].items():
        crd_leaves("node." + field, inner, result)
    add(merge(result, reply), EXECUTE)
    hook = {}
    hooks.leaves("", {"$ref": "#/definitions/NodePreExecuteReply"}, hook)
    add(hook, EXECUTE, PRE_EXECUTE)
    for path, (kind, rpcs) in list(lines.items()):
        if path.startswith("node."):
            # One type on both sides: what a hook of 2021 did not know yet, a controller of today may.
            lines[path] = (kind, rpcs | {EXECUTE, PRE_EXECUTE})

    workflow = {}
    hooks.leaves("", {"$ref": "#/definitions/WorkflowPreOperateReply"}, workflow)
    executor.leaves("workflow", {"$ref": "#/definitions/Workflow"}, workflow)
    for field, inner in version_of(load(argo / "workflows.crd.minimal.yaml")).items():
        if field not in ("metadata", "spec"):
            crd_leaves("workflow." + field, inner, workflow)
    add(workflow, PRE_OPERATE)

    variables = {}
    hooks.leaves("", {"$ref": "#/definitions/ParameterPreSubstitutionReply"}, variables)
    add(variables, ADD)
    return ["%s %s %s" % (path, kind, ",".join(sorted(rpcs))) for path, (kind, rpcs) in sorted(lines.items())]


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print("\n".join(generate(pathlib.Path(sys.argv[1]))))


if __name__ == "__main__":
    main()
