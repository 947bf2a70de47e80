// Cedar (through wasm, in Node) on the case of policy_bench.cc, as far as Cedar can express it. See README.md.
import cedar from "@cedar-policy/cedar-wasm/nodejs";

const RULES = 50;
const reply = JSON.stringify({
  node: {
    phase: "Succeeded",
    message: "m".repeat(103),
    progress: "3/3",
    outputs: {
      parameters: [
        { name: "ts", value: "1724230000.1234" },
        { name: "channel", value: "C024BE91L" },
        { name: "job-id", value: "rayjob-7f9c5d-2026" },
      ],
    },
  },
});

// One permit a rule. Cedar has no paths: a leaf's path is the resource, its value is in the context.
const leaf = (path, condition) =>
  `permit(principal == Plugin::"slack", action == Action::"set", resource == Leaf::"${path}")` +
  (condition ? ` when { ${condition} };` : ";");
const policies = [
  leaf("node.phase", '["Running","Succeeded","Failed"].contains(context.value)'),
  leaf("node.message"),
  leaf("node.progress", 'context.value like "*/*"'),
  'forbid(principal, action, resource == Leaf::"node.message") when { context.value like "http:*" };',
];
for (const name of ["ts", "channel", "job-id"]) {
  policies.push(leaf(`node.outputs.parameters[${name}].name`, `context.value == "${name}"`));
  policies.push(leaf(`node.outputs.parameters[${name}].value`));
}
for (let i = policies.length; i < RULES; i++) policies.push(leaf(`node.outputs.parameters[other-${i}].value`));

const parsed = cedar.preparsePolicySet("bench", { staticPolicies: policies.join("\n") });
if (parsed.type !== "success") throw new Error(JSON.stringify(parsed));

function* leaves(value, path) {
  if (Array.isArray(value)) {
    for (const entry of value) yield* leaves(entry, `${path}[${entry.name}]`);
  } else if (typeof value === "object") {
    for (const [key, inner] of Object.entries(value)) yield* leaves(inner, path ? `${path}.${key}` : key);
  } else {
    yield [path, value];
  }
}

function decide(bytes) {
  for (const [path, value] of leaves(JSON.parse(bytes), "")) {
    const answer = cedar.statefulIsAuthorized({
      principal: { type: "Plugin", id: "slack" },
      action: { type: "Action", id: "set" },
      resource: { type: "Leaf", id: path },
      context: { value },
      preparsedPolicySetId: "bench",
      entities: [],
    });
    if (answer.type !== "success") throw new Error(JSON.stringify(answer));
    if (answer.response.decision !== "allow") return false;
  }
  return true;
}

if (!decide(reply)) throw new Error("the reply should be allowed");
if (decide(reply.replace("Succeeded", "Cancelled"))) throw new Error("an unknown phase should be refused");
for (let i = 0; i < 200; i++) decide(reply);
const times = [];
for (let i = 0; i < 1000; i++) {
  const begin = process.hrtime.bigint();
  decide(reply);
  times.push(Number(process.hrtime.bigint() - begin) / 1000);
}
times.sort((a, b) => a - b);
const changes = [...leaves(JSON.parse(reply), "")].length;
console.log(`cedar-wasm ${cedar.getCedarSDKVersion()}: a reply of ${reply.length} bytes, ${policies.length} policies, ${changes} changes, microseconds:`);
console.log(`  decision  p50 ${times[500].toFixed(1)}  p99 ${times[990].toFixed(1)}  (p50 of one change ${(times[500] / changes).toFixed(1)})`);
