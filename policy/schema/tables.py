#!/usr/bin/env python3
"""Makes the C++ tables of the leaf schema; refuses a leaf that is in no class or in two.

    policy/schema/tables.py OUTPUT CLASSES LEAVES...

Every problem is named, each on a line. OUTPUT is written only when there is none.
"""

import re
import sys

SETS = {
    "argo.artifact-locations": "kArtifactLocations",
    "argo.bounds": "kBounds",
    "argo.code": "kCode",
    "argo.controller-labels": "kControllerLabels",
    "argo.credentials": "kCredentials",
    "argo.globals": "kGlobals",
    "argo.identity": "kIdentity",
    "argo.ownership": "kOwnership",
    "argo.pod-security": "kPodSecurity",
    "argo.result-only": "kResultOnly",
    "argo.retention": "kRetention",
    "argo.status": "kStatus",
    "allowable": "kNone",
}
KEY_RULES = {"labels": "kLabels", "variables": "kVariables"}
TYPES = {
    "string": "kString",
    "any-string": "kAnyString",
    "duration": "kDuration",
    "boolean": "kBool",
    "integer": "kInteger",
    "strings": "kStrings",
    "anything": "kAnything",
}
RPCS = {
    "template.execute": "kTemplateExecute",
    "workflow.preOperate": "kWorkflowPreOperate",
    "node.preExecute": "kNodePreExecute",
    "parameters.add": "kParametersAdd",
}


def rows(path, problems):
    with open(path) as file:
        for number, line in enumerate(file, 1):
            words = line.split("#")[0].split()
            if not words:
                continue
            if not 2 <= len(words) <= 3:
                problems.append("%s:%d: expected two or three words" % (path, number))
                continue
            yield "%s:%d" % (path, number), words


def read_leaves(paths, problems):
    leaves = {}
    for path in paths:
        previous = ""
        for place, words in rows(path, problems):
            name, kind, rpcs = words[0], words[1], words[2].split(",") if len(words) == 3 else []
            if name in leaves:
                problems.append("%s: leaf %s is listed twice" % (place, name))
            if name <= previous:
                problems.append("%s: leaf %s is out of order" % (place, name))
            if kind not in TYPES:
                problems.append("%s: leaf %s has the unknown type %s" % (place, name, kind))
            if not rpcs or any(rpc not in RPCS for rpc in rpcs):
                problems.append("%s: leaf %s names no RPC, or one with no such reply" % (place, name))
            leaves[name] = (kind, rpcs)
            previous = name
    return leaves


def read_classes(path, problems):
    classes = {}
    for place, words in rows(path, problems):
        name, kind = words[0], words[1]
        keys = words[2].partition("keys=")[2] if len(words) == 3 else ""
        if name in classes:
            problems.append("%s: %s is classified twice: here and at %s" % (place, name, classes[name][2]))
            continue
        if kind not in SETS:
            problems.append("%s: %s: no such class: %s" % (place, name, kind))
        if len(words) == 3 and keys not in KEY_RULES:
            problems.append("%s: %s: no such rule of keys: %s" % (place, name, words[2]))
        classes[name] = (kind, keys, place)
    return classes


def prefixes(name):
    """Of a.b[].c: itself, a.b[], a.b, a: the most specific first."""
    while name:
        yield name
        name = name[:-2] if name.endswith("[]") else name.rpartition(".")[0]


def class_of(name, classes):
    return next((prefix for prefix in prefixes(name) if prefix in classes), None)


class Struct:
    def __init__(self, path):
        self.path = path
        self.fields = {}  # name -> Struct, or the leaf's path
        self.keyed = False

    def child(self, name):
        if not isinstance(self.fields.get(name), Struct):
            self.fields[name] = Struct((self.path + "." if self.path else "") + name)
        return self.fields[name]


def tree_of(leaves):
    root = Struct("")
    for leaf in leaves:
        at = root
        steps = leaf.split(".")
        for step in steps[:-1]:
            at = at.child(step.removesuffix("[]"))
            if step.endswith("[]"):
                at.keyed = True
                at.path = at.path.removesuffix("[]") + "[]"
        at.fields[steps[-1].removesuffix("[]")] = leaf
    return root


class Writer:
    def __init__(self, leaves, classes):
        self.leaves, self.classes = leaves, classes
        self.index = {leaf: i for i, leaf in enumerate(sorted(leaves))}
        self.place = {}  # leaf -> C++ name of its FieldSpec
        self.lines = []
        self.numbers = {}  # path of a struct below a root -> its number: RPCs share such structs
        self.count = 0

    def struct(self, struct, only=None):
        """Writes the tables of a struct, children first; gives its number."""
        if struct.path in self.numbers:
            return self.numbers[struct.path]
        fields = []
        children = {n: self.struct(f) for n, f in struct.fields.items() if isinstance(f, Struct) and (not only or n in only)}
        self.count += 1
        number = self.count
        if struct.path:
            self.numbers[struct.path] = number
        for name in sorted(struct.fields):
            field = struct.fields[name]
            if only and name not in only:
                continue
            if isinstance(field, Struct):
                # The path of a keyed list ends in [].
                kind = self.classes.get(class_of(field.path, self.classes), ("allowable", ""))
                fields.append('{"%s", FieldType::%s, ProtectedSet::%s, KeyRule::kNone, kNoLeaf, &kStruct%d}' % (
                    name, "kKeyedList" if field.keyed else "kStruct", SETS[kind[0]], children[name]))
            else:
                kind, keys, _ = self.classes[class_of(field, self.classes)]
                leaf_type = "kStringMap" if field.endswith("[]") else TYPES[self.leaves[field][0]]
                self.place.setdefault(field, "&kFields%d[%d]" % (number, len(fields)))
                fields.append('{"%s", FieldType::%s, ProtectedSet::%s, KeyRule::%s, %d, nullptr}' % (
                    name, leaf_type, SETS[kind], KEY_RULES.get(keys, "kNone"), self.index[field]))
        self.lines.append("constexpr FieldSpec kFields%d[] = {\n    %s,\n};" % (number, ",\n    ".join(fields)))
        self.lines.append('constexpr StructSpec kStruct%d = {"%s", kFields%d};' % (number, struct.path, number))
        return number

    def text(self):
        root = tree_of(sorted(self.leaves))
        roots = {}
        for rpc in RPCS:
            own = {leaf.split(".")[0].removesuffix("[]") for leaf, (_, rpcs) in self.leaves.items() if rpc in rpcs}
            roots[rpc] = self.struct(root, own)
        out = ["// Generated by policy/schema/tables.py.", '#include "policy/schema/tables.h"', "",
               "namespace bulkhead::policy {", "namespace {", ""] + self.lines
        out.append("constexpr LeafSpec kLeaves[] = {")
        out += ['    {"%s", %s, %d},' % (leaf, self.place[leaf], leaf.count("[]")) for leaf in sorted(self.leaves)]
        out += ["};", "", "constexpr uint8_t kRpcsOfLeaf[] = {"]
        for leaf in sorted(self.leaves):
            bits = " | ".join("1U << static_cast<unsigned>(Rpc::%s)" % RPCS[rpc] for rpc in self.leaves[leaf][1])
            out.append("    %s," % bits)
        out += ["};", "", "}  // namespace", "", "const StructSpec* ReplySpec(Rpc rpc) {", "  switch (rpc) {"]
        out += ["    case Rpc::%s: return &kStruct%d;" % (RPCS[rpc], number) for rpc, number in roots.items()]
        out += ["    default: return nullptr;", "  }", "}", "",
                "std::span<const LeafSpec> Leaves() { return kLeaves; }",
                "std::span<const uint8_t> RpcsOfLeaves() { return kRpcsOfLeaf; }", "", "}  // namespace bulkhead::policy", ""]
        return "\n".join(out)


def main():
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    problems = []
    leaves = read_leaves(sys.argv[3:], problems)
    classes = read_classes(sys.argv[2], problems)
    used = set()
    for leaf in leaves:
        rule = class_of(leaf, classes)
        used.add(rule)
        if rule is None:
            problems.append("%s: leaf %s is in no class: add a line to it that says `allowable` or a protected set" % (sys.argv[2], leaf))
        if leaf.count("[]") > 3 or not re.fullmatch(r"[A-Za-z0-9]+(\[\])?(\.[A-Za-z0-9]+(\[\])?)*", leaf):
            problems.append("leaf %s is no path that a policy can name" % leaf)
    problems += ["%s: %s counts for no leaf; remove it" % (place, name) for name, (_, _, place) in classes.items() if name not in used]
    if problems:
        raise SystemExit("\n".join("error: " + problem for problem in problems))
    with open(sys.argv[1], "w") as file:
        file.write(Writer(leaves, classes).text())


if __name__ == "__main__":
    main()
