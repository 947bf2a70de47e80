// `bulkhead agent main`, wired: cluster, plugins, policies, journal, audit and the agent between them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "certs/server_context.h"
#include "runner/base/log.h"
#include "runner/base/result.h"
#include "runner/cli/outside.h"
#include "runner/cli/prepare.h"

namespace bulkhead::cli {

struct AgentSettings {
  // The cluster.
  std::string kubeconfig;  // empty: in the cluster
  std::string context;
  std::string name_space;  // empty: the configuration's
  // Which task sets.
  std::string workflow;
  std::string workflow_uid;
  bool all = false;
  std::string instance_id;
  std::string lease;  // empty: none
  // Plugins.
  std::vector<std::string> plugins;
  std::vector<std::string> plugin_config_maps;
  bool workflow_plugins = false;
  SidecarSettings sidecars = {"", "", "/var/run/argo"};
  std::vector<std::string> remote_plugins;
  certs::TlsFiles tls;  // who the agent is to them
  std::optional<sandbox::Tier> tier;
  RootFolders rootfs;
  std::vector<std::string> secret_files;
  std::chrono::nanoseconds start_timeout = std::chrono::seconds(20);
  size_t workers = 16;
  // Policies and what is kept.
  std::vector<std::string> policies;
  std::string audit = "/var/run/argo/bulkhead/audit.jsonl";
  std::string journal = "/var/run/argo/bulkhead";
  bool repeat_in_flight = true;
  std::string metrics;         // a file
  std::string metrics_listen;  // an address; empty: nowhere
  std::chrono::nanoseconds drain = std::chrono::seconds(15);
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
};

// Returns when the workflow is completed or gone, or a signal came: then everything that was had is delivered or in
// the journal. An error: the agent could not start, or cannot go on.
Status RunAgentMain(const AgentSettings& settings);

}  // namespace bulkhead::cli
