#include "runner/source/container.h"

#include <algorithm>
#include <optional>

#include "runner/base/text.h"

namespace bulkhead::source {

namespace {

constexpr int64_t kMostUid = 2'147'483'647;

class ContainerReader {
 public:
  ContainerReader(const Value& container, const References& references, Diagnostics& diagnostics,
                  agent::PluginManifest& manifest)
      : container_(container), references_(references), diagnostics_(diagnostics), manifest_(manifest) {}

  void Read() {
    Fields fields(container_, "container", diagnostics_);
    if (!container_.is_object()) return;
    ReadProcess(fields);
    ReadEnv(fields);
    ReadPorts(fields);
    ReadResources(fields);
    ReadSecurityContext(fields);
    ReadTheRest(fields);
    fields.Done();
  }

 private:
  void Notice(std::string text) { manifest_.notices.push_back(std::move(text)); }

  void ReadProcess(Fields& fields) {
    fields.Ignore("name");
    manifest_.image = fields.String("image").value_or("");
    manifest_.command = fields.Strings("command");
    manifest_.args = fields.Strings("args");
    manifest_.working_dir = fields.String("workingDir").value_or("");
    if (manifest_.command.empty()) {
      diagnostics_.Add(
          container_.at,
          "container needs \"command\": the image's own entrypoint is not known here, since images are not run");
    }
    if (!manifest_.working_dir.empty() && manifest_.working_dir.front() != '/') {
      diagnostics_.Add(container_.Find("workingDir")->at, "container.workingDir must be an absolute path");
    }
  }

  void ReadEnv(Fields& fields) {
    fields.Refuse("envFrom", "is not supported; list each variable under env with valueFrom");
    const Value* const env = fields.OfKind("env", Value::Kind::kArray);
    if (env == nullptr) return;
    for (const Value& item : env->items) {
      Fields variable(item, "env entry", diagnostics_);
      if (!item.is_object()) continue;
      agent::EnvVar read;
      read.name = variable.RequiredString("name");
      if (read.name.find('=') != std::string::npos || read.name.find('\0') != std::string::npos) {
        diagnostics_.Add(item.at, "env name must not contain \"=\" or NUL");
      }
      const auto value = variable.String("value");
      const Value* const from = variable.OfKind("valueFrom", Value::Kind::kObject);
      if (value.has_value() && from != nullptr) diagnostics_.Add(item.at, "env entry has both value and valueFrom");
      read.value = value.value_or("");
      bool present = true;
      if (from != nullptr) present = ReadValueFrom(*from, read);
      if (read.value.find('\0') != std::string::npos) {
        diagnostics_.Add(item.at, "env value of \"" + EscapeForTerminal(read.name) + "\" must not contain NUL");
      }
      if (read.value.find("$(") != std::string::npos && !read.secret) {
        diagnostics_.Add(item.at,
                         "env value of \"" + EscapeForTerminal(read.name) +
                             "\" refers to another variable with $(...), which is not supported; write the value out");
      }
      variable.Done();
      if (present) manifest_.env.push_back(std::move(read));
    }
    for (const std::string& arg : manifest_.args) {
      for (const agent::EnvVar& variable : manifest_.env) {
        if (arg.find("$(" + variable.name + ")") == std::string::npos) continue;
        diagnostics_.Add(container_.Find("args")->at,
                         "args refer to $(" + EscapeForTerminal(variable.name) +
                             "), which is not expanded; read the environment in the plugin");
      }
    }
  }

  // False when the reference is optional and not there, so that the variable is not set.
  bool ReadValueFrom(const Value& from, agent::EnvVar& read) {
    Fields fields(from, "valueFrom", diagnostics_);
    bool present = true;
    if (const Value* ref = fields.OfKind("secretKeyRef", Value::Kind::kObject)) {
      present = ReadKeyRef(*ref, "secretKeyRef", references_.secrets, "kind: Secret", read);
      read.secret = true;
    } else if (const Value* map = fields.OfKind("configMapKeyRef", Value::Kind::kObject)) {
      present = ReadKeyRef(*map, "configMapKeyRef", references_.config_maps, "kind: ConfigMap", read);
    }
    if (references_.pod.has_value()) {
      if (const Value* field = fields.OfKind("fieldRef", Value::Kind::kObject)) ReadFieldRef(*field, read);
    } else {
      fields.Refuse("fieldRef", "is not supported here: there is no pod whose fields it could name");
    }
    fields.Refuse("resourceFieldRef", "is not supported; write the value out");
    fields.Done();
    return present;
  }

  // metadata.labels['x'] and metadata.annotations['x'], or a path of names, as the downward API has them.
  void ReadFieldRef(const Value& ref, agent::EnvVar& read) {
    Fields fields(ref, "fieldRef", diagnostics_);
    const std::string path = fields.RequiredString("fieldPath");
    fields.Ignore("apiVersion");
    fields.Done();
    const Value* at = &*references_.pod;
    std::string_view rest = path;
    while (!rest.empty() && at != nullptr) {
      const size_t end = rest.find_first_of(".[");
      at = at->Find(rest.substr(0, end));
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end);
      if (rest.starts_with("['") && rest.ends_with("']")) {
        at = at == nullptr ? nullptr : at->Find(rest.substr(2, rest.size() - 4));
        break;
      }
      rest.remove_prefix(1);
    }
    if (at == nullptr || (!at->is_string() && !at->is_number())) {
      diagnostics_.Add(ref.at, "fieldRef \"" + EscapeForTerminal(path) + "\" is no text of the agent's pod");
      return;
    }
    read.value = at->text;
  }

  bool ReadKeyRef(const Value& ref, std::string_view what,
                  const std::map<std::string, std::string, std::less<>>& objects, std::string_view kind,
                  agent::EnvVar& read) {
    Fields fields(ref, what, diagnostics_);
    const std::string name = fields.RequiredString("name");
    const std::string key = fields.RequiredString("key");
    const bool optional = fields.Bool("optional").value_or(false);
    fields.Done();
    read.secret_name = name + "/" + key;
    const auto found = objects.find(read.secret_name);
    if (found != objects.end()) {
      read.value = found->second;
      return true;
    }
    if (!optional) {
      diagnostics_.Add(ref.at, std::string(what) + " \"" + EscapeForTerminal(read.secret_name) +
                                   "\" is not there; put a `" + std::string(kind) +
                                   "` manifest with that key beside the plugin");
    }
    return false;
  }

  void ReadPorts(Fields& fields) {
    const Value* const ports = fields.OfKind("ports", Value::Kind::kArray);
    if (ports == nullptr || ports->items.empty()) {
      diagnostics_.Add(container_.at,
                       "container needs \"ports\" with at least one containerPort: it is where the plugin is called");
      return;
    }
    for (const Value& item : ports->items) {
      Fields port(item, "port", diagnostics_);
      if (!item.is_object()) continue;
      const auto number = port.Int("containerPort", 1, 65535);
      const std::string protocol = port.String("protocol").value_or("TCP");
      if (protocol != "TCP") diagnostics_.Add(item.at, "port.protocol must be TCP");
      port.Ignore("name");
      port.Refuse("hostPort", "is not given to plugins");
      port.Refuse("hostIP", "is not given to plugins");
      if (item.Find("containerPort") == nullptr) diagnostics_.Add(item.at, "port needs \"containerPort\"");
      port.Done();
      if (number.has_value()) manifest_.ports.push_back(static_cast<uint16_t>(*number));
    }
  }

  void ReadResources(Fields& fields) {
    const Value* const resources = fields.OfKind("resources", Value::Kind::kObject);
    if (resources == nullptr) return;
    Fields read(*resources, "resources", diagnostics_);
    if (const Value* limits = read.OfKind("limits", Value::Kind::kObject)) ReadLimits(*limits);
    // Requests steer a scheduler; here they are only checked to be readable.
    if (const Value* requests = read.OfKind("requests", Value::Kind::kObject)) {
      for (const Member& member : requests->members) Quantity(member, /*milli=*/true);
    }
    read.Refuse("claims", "are not given to plugins");
    read.Done();
  }

  void ReadLimits(const Value& limits) {
    for (const Member& member : limits.members) {
      if (member.key == "memory") {
        manifest_.memory_bytes = Quantity(member, false);
        if (manifest_.memory_bytes.has_value() && *manifest_.memory_bytes < (4U << 20U)) {
          diagnostics_.Add(member.value.at, "resources.limits.memory is under 4Mi; no process starts in that");
        }
      } else if (member.key == "cpu") {
        manifest_.cpu_millis = Quantity(member, true);
      } else if (member.key == "ephemeral-storage") {
        manifest_.scratch_bytes = Quantity(member, false);
      } else {
        diagnostics_.Add(member.at, "resources.limits." + EscapeForTerminal(member.key) +
                                        " is not given to plugins; memory, cpu and ephemeral-storage are");
      }
    }
  }

  std::optional<uint64_t> Quantity(const Member& member, bool milli) {
    const bool readable = member.value.is_string() || member.value.is_number();
    const auto amount = !readable ? std::nullopt
                        : milli   ? ParseMilliQuantity(member.value.text)
                                  : ParseQuantity(member.value.text);
    if (!amount.has_value() || *amount == 0) {
      diagnostics_.Add(member.value.at, "\"" + EscapeForTerminal(member.key) +
                                            "\" must be a positive Kubernetes quantity such as 64Mi or 250m");
      return std::nullopt;
    }
    return static_cast<uint64_t>(*amount);
  }

  void ReadSecurityContext(Fields& fields) {
    const Value* const context = fields.OfKind("securityContext", Value::Kind::kObject);
    if (context == nullptr) return;
    Fields read(*context, "securityContext", diagnostics_);
    if (const auto uid = read.Int("runAsUser", 0, kMostUid)) manifest_.uid = static_cast<uint32_t>(*uid);
    if (const auto gid = read.Int("runAsGroup", 0, kMostUid)) manifest_.gid = static_cast<uint32_t>(*gid);
    manifest_.run_as_non_root = read.Bool("runAsNonRoot").value_or(false);
    RefuseWhen(read, *context, "privileged", true, "plugins are never privileged");
    RefuseWhen(read, *context, "allowPrivilegeEscalation", true, "plugins never gain privileges");
    const auto read_only = read.Bool("readOnlyRootFilesystem");
    if (read_only.has_value() && !*read_only) {
      Notice("securityContext.readOnlyRootFilesystem: false is not honoured: the root is read-only, /tmp is writable");
    }
    if (const Value* capabilities = read.OfKind("capabilities", Value::Kind::kObject)) ReadCapabilities(*capabilities);
    if (const Value* profile = read.OfKind("seccompProfile", Value::Kind::kObject)) ReadSeccompProfile(*profile);
    read.Refuse("appArmorProfile", "is not applied by Bulkhead; remove it");
    read.Refuse("seLinuxOptions", "are not applied by Bulkhead; remove them");
    read.Refuse("windowsOptions", "are for Windows");
    if (const auto mount = read.String("procMount"); mount.has_value() && *mount != "Default") {
      diagnostics_.Add(context->Find("procMount")->at, "securityContext.procMount must be Default");
    }
    read.Done();
  }

  void RefuseWhen(Fields& fields, const Value& context, std::string_view key, bool refused, std::string_view reason) {
    const auto value = fields.Bool(key);
    if (!value.has_value() || *value != refused) return;
    diagnostics_.Add(context.Find(key)->at, "securityContext." + std::string(key) + ": " +
                                                (refused ? "true" : "false") + " is refused: " + std::string(reason));
  }

  void ReadCapabilities(const Value& capabilities) {
    Fields read(capabilities, "capabilities", diagnostics_);
    if (!read.Strings("add").empty()) {
      diagnostics_.Add(capabilities.Find("add")->at, "capabilities.add is refused: plugins run without any capability");
    }
    read.Ignore("drop");  // all are dropped anyway
    read.Done();
  }

  void ReadSeccompProfile(const Value& profile) {
    Fields read(profile, "seccompProfile", diagnostics_);
    const std::string type = read.RequiredString("type");
    if (type != "RuntimeDefault") {
      diagnostics_.Add(profile.at, "seccompProfile.type \"" + EscapeForTerminal(type) +
                                       "\" is refused: Bulkhead's own profile is stricter; use RuntimeDefault, and the "
                                       "annotation bulkhead.dev/seccomp-profile to choose another of Bulkhead's");
    }
    read.Refuse("localhostProfile", "is not read; see bulkhead.dev/seccomp-profile");
    read.Done();
  }

  void ReadTheRest(Fields& fields) {
    for (const std::string_view probe : {"livenessProbe", "readinessProbe", "startupProbe"}) {
      if (fields.Any(probe) != nullptr) {
        Notice("container." + std::string(probe) + " is not run: a plugin is ready when it listens on its port");
      }
    }
    for (const std::string_view text : {"imagePullPolicy", "terminationMessagePath", "terminationMessagePolicy"}) {
      fields.Ignore(text);  // nothing is pulled, and messages go to the log
    }
    fields.Refuse("lifecycle", "hooks are not run; remove them");
    fields.Refuse("volumeMounts", "there is no pod whose volumes could be mounted; /tmp is private and writable");
    fields.Refuse("volumeDevices", "devices are not given to plugins");
    fields.Refuse("restartPolicy", "is for init containers");
    fields.Refuse("resizePolicy", "is not supported");
    for (const std::string_view flag : {"stdin", "stdinOnce", "tty"}) {
      if (fields.Bool(flag).value_or(false)) {
        diagnostics_.Add(container_.Find(flag)->at, "container." + std::string(flag) + " is not given to plugins");
      }
    }
  }

  const Value& container_;
  const References& references_;
  Diagnostics& diagnostics_;
  agent::PluginManifest& manifest_;
};

}  // namespace

void ReadContainer(const Value& container, const References& references, Diagnostics& diagnostics,
                   agent::PluginManifest& manifest) {
  ContainerReader(container, references, diagnostics, manifest).Read();
}

}  // namespace bulkhead::source
