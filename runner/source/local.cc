#include "runner/source/local.h"

#include <array>
#include <cstdint>
#include <utility>

#include "runner/base/fields.h"
#include "runner/base/secret.h"
#include "runner/base/text.h"
#include "runner/base/yaml.h"
#include "runner/source/files.h"
#include "runner/source/workflow.h"

namespace bulkhead::source {

std::string NodeId(std::string_view workflow, std::string_view node_name) {
  if (workflow == node_name) return std::string(workflow);
  uint32_t hash = 2166136261U;
  for (const char c : node_name) {
    hash ^= static_cast<uint8_t>(c);
    hash *= 16777619U;
  }
  return std::string(workflow) + "-" + std::to_string(hash);
}

Result<std::vector<LocalSet>> LoadSets(const std::vector<std::string>& paths) {
  BULKHEAD_ASSIGN(const std::vector<std::string> files, ExpandYamlPaths(paths));
  std::vector<LocalSet> sets;
  std::vector<std::string> errors;
  uint64_t next_id = 1;
  for (const std::string& file : files) {
    BULKHEAD_ASSIGN(const std::string text, ReadInput(file));
    BULKHEAD_ASSIGN(const std::vector<Value> documents, ParseYaml(text, file));
    for (const Value& document : documents) {
      if (document.is_null()) continue;
      Diagnostics diagnostics(file);
      LocalSet set = ReadSet(document, diagnostics);
      if (auto status = diagnostics.ToStatus(); !status.ok()) {
        errors.push_back(status.error().message());
        continue;
      }
      for (auto& stage : set.stages) {
        for (agent::Task& task : stage) task.id = next_id++;
      }
      sets.push_back(std::move(set));
    }
  }
  if (!errors.empty()) return Error(Code::kInvalidInput, Join(errors, "\n"));
  if (sets.empty()) {
    return Error(Code::kInvalidInput, Join(files, ", ") + ": no WorkflowTaskSet and no Workflow in it");
  }
  return sets;
}

// --- LocalRun -------------------------------------------------------------------------------------

LocalRun::LocalRun(std::vector<LocalSet> sets, Observer observer)
    : sets_(std::move(sets)), observer_(std::move(observer)), pending_(sets_.size(), 0), failed_(sets_.size(), false) {
  for (size_t set = 0; set < sets_.size(); ++set) {
    for (size_t stage = 0; stage < sets_[set].stages.size(); ++stage) {
      for (const agent::Task& task : sets_[set].stages[stage]) {
        Slot& slot = slots_[task.id];
        slot.set = set;
        slot.stage = stage;
        slot.report.task_id = task.id;
        slot.report.workflow = task.workflow.name;
        slot.report.node = task.node;
        slot.report.template_name = task.template_name;
        slot.report.phase = "Omitted";
        slot.report.message = "not started: a step before it did not succeed";
      }
    }
  }
  total_ = slots_.size();
}

void LocalRun::Start(agent::TaskQueue& queue) {
  const std::lock_guard lock(mutex_);
  queue_ = &queue;
  open_sets_ = sets_.size();
  for (size_t set = 0; set < sets_.size(); ++set) StartStage(set, 0);
}

// With mutex_ held. Goes on to the next stage that has tasks, or ends the set.
void LocalRun::StartStage(size_t set, size_t stage) {
  const auto& stages = sets_[set].stages;
  while (stage < stages.size() && stages[stage].empty()) ++stage;
  if (stage >= stages.size() || failed_[set]) {
    if (--open_sets_ == 0) queue_->Close();
    return;
  }
  pending_[set] = stages[stage].size();
  for (const agent::Task& task : stages[stage]) queue_->Add(task);
}

void LocalRun::Deliver(const agent::TaskReport& report) {
  {
    const std::lock_guard lock(mutex_);
    Slot& slot = slots_.at(report.task_id);
    slot.report = report;
    slot.delivered = true;
    if (report.final) {
      failed_[slot.set] = failed_[slot.set] || report.phase != "Succeeded";
      if (--pending_[slot.set] == 0) StartStage(slot.set, slot.stage + 1);
    }
  }
  if (observer_) observer_(report);
}

std::vector<agent::TaskReport> LocalRun::Reports() const {
  const std::lock_guard lock(mutex_);
  std::vector<agent::TaskReport> reports;
  reports.reserve(slots_.size());
  for (const auto& [id, slot] : slots_) reports.push_back(slot.report);
  return reports;
}

Value LocalRun::Status() const {
  const std::lock_guard lock(mutex_);
  std::vector<Value> nodes(sets_.size(), Value::Object());
  for (const auto& [id, slot] : slots_) {
    // What never started has no result; the controller would not know of it either.
    if (slot.delivered && !slot.report.result.members.empty())
      nodes[slot.set].Set(slot.report.node, slot.report.result);
  }
  Value list = Value::Array();
  for (size_t set = 0; set < sets_.size(); ++set) {
    Value metadata = Value::Object();
    metadata.Set("name", Value::String(sets_[set].workflow.name));
    metadata.Set("namespace", Value::String(sets_[set].workflow.name_space));
    Value status = Value::Object();
    status.Set("nodes", std::move(nodes[set]));
    Value object = Value::Object();
    object.Set("apiVersion", Value::String("argoproj.io/v1alpha1"));
    object.Set("kind", Value::String("WorkflowTaskSet"));
    object.Set("metadata", std::move(metadata));
    object.Set("status", std::move(status));
    list.items.push_back(std::move(object));
  }
  if (list.items.size() == 1) return std::move(list.items.front());
  Value object = Value::Object();
  object.Set("apiVersion", Value::String("v1"));
  object.Set("kind", Value::String("List"));
  object.Set("items", std::move(list));
  return object;
}

}  // namespace bulkhead::source
