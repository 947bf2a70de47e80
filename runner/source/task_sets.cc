#include "runner/source/task_sets.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "runner/base/fields.h"
#include "runner/base/text.h"
#include "runner/source/workflow.h"

namespace bulkhead::source {

namespace {

constexpr std::string_view kCompleted = "workflows.argoproj.io/completed";

std::string MemberText(const Value* object, std::string_view key) {
  const Value* const value = object == nullptr ? nullptr : object->Find(key);
  return value != nullptr && value->is_string() ? value->text : "";
}

const Value* Path(const Value& object, std::initializer_list<std::string_view> keys) {
  const Value* at = &object;
  for (const std::string_view key : keys) {
    at = at->Find(key);
    if (at == nullptr) return nullptr;
  }
  return at;
}

const std::vector<Member>& MembersOf(const Value* object) {
  static const std::vector<Member> kNone;
  return object == nullptr ? kNone : object->members;
}

bool IsCompleted(const Value& object) {
  const Value* const labels = Path(object, {"metadata", "labels"});
  return MemberText(labels, kCompleted) == "true";
}

}  // namespace

TaskSets::TaskSets(const Logger& log, Metrics& metrics, agent::Journal* journal, TaskSetsOptions options,
                   OnGoneTasks on_gone_tasks, std::function<void(End)> on_end)
    : log_(log),
      metrics_(metrics),
      journal_(journal),
      options_(std::move(options)),
      on_gone_tasks_(std::move(on_gone_tasks)),
      on_end_(std::move(on_end)) {}

std::string UidOf(const Value& object) {
  return MemberText(object.Find("metadata"), "uid");
}

void TaskSets::OnDeleted(const Value& object) {
  OnGone(UidOf(object), End::kDeleted);
}

void TaskSets::OnListed(const std::set<std::string>& present) {
  std::vector<std::string> gone;
  for (const auto& [uid, set] : sets_) {
    if (present.find(uid) == present.end()) gone.push_back(uid);
  }
  for (const std::string& uid : gone) OnGone(uid, End::kDeleted);
}

void TaskSets::OnSet(const Value& object) {
  const Value* const metadata = object.Find("metadata");
  const std::string uid = UidOf(object);
  if (metadata == nullptr || uid.empty()) return;
  agent::WorkflowRef workflow = {MemberText(metadata, "name"), MemberText(metadata, "namespace"),
                                 OwnerUidOf(*metadata)};
  if (workflow.uid.empty()) workflow.uid = options_.workflow_uid.empty() ? uid : options_.workflow_uid;
  if (!options_.workflow_uid.empty() && workflow.uid != options_.workflow_uid) {
    log_.Log(LogLevel::kWarn, "a task set of another workflow of the same name is left alone",
             {{"workflow", workflow.name}, {"uid", workflow.uid}});
    return;
  }
  if (IsCompleted(object)) {
    sets_[uid];  // so that its end is told also when it was never seen before
    return OnGone(uid, End::kCompleted);
  }
  // One task set a name: another uid means that the one before is gone.
  for (auto at = sets_.begin(); at != sets_.end();) {
    const std::string other = at->first;
    const bool replaced = at->second.name == workflow.name && other != uid;
    ++at;
    if (replaced) OnGone(other, End::kDeleted);
  }
  if (ended_) return;
  Set& set = sets_[uid];
  set.name = workflow.name;
  set.workflow_uid = workflow.uid;
  OnTasks(set, object, workflow);
}

void TaskSets::OnTasks(Set& set, const Value& object, const agent::WorkflowRef& workflow) {
  const Value* const tasks = Path(object, {"spec", "tasks"});
  const Value* const results = Path(object, {"status", "nodes"});
  std::map<std::string_view, std::string_view> phases;
  for (const Member& member : MembersOf(results)) {
    const Value* const phase = member.value.Find("phase");
    if (phase != nullptr) phases.emplace(member.key, phase->text);
  }
  std::set<std::string_view> present;
  for (const Member& member : MembersOf(tasks)) present.insert(member.key);

  std::vector<std::string> gone;
  std::vector<agent::TaskKey> gone_keys;
  for (auto known = set.nodes.begin(); known != set.nodes.end();) {
    if (present.find(known->first) != present.end()) {
      ++known;
      continue;
    }
    if (known->second.task_id != 0) queue_->Cancel(known->second.task_id);
    gone.push_back(known->first);
    gone_keys.push_back({workflow.uid + "/" + known->first, known->second.generation});
    set.generations[known->first] = known->second.generation + 1;
    known = set.nodes.erase(known);
  }
  if (!gone.empty()) on_gone_tasks_(workflow, gone);
  // A journal that cannot be written tells the agent when it is needed next.
  if (journal_ != nullptr) static_cast<void>(journal_->Retire(gone_keys).ok());

  for (const Member& member : MembersOf(tasks)) {
    if (set.nodes.find(member.key) != set.nodes.end()) continue;
    Known& known = set.nodes[member.key];
    known.generation = GenerationOf(set, member.key);
    const auto phase = phases.find(member.key);
    if (phase != phases.end() && agent::IsFulfilled(phase->second)) continue;  // delivered before this start
    Diagnostics diagnostics(workflow.name);
    agent::Task task = ReadTask(workflow, member.key, member.value, diagnostics);
    if (const Status readable = diagnostics.ToStatus(); !readable.ok()) {
      task.defect = "agent cannot execute: " + readable.error().message();
    }
    task.id = known.task_id = next_id_++;
    task.key = workflow.uid + "/" + member.key;
    task.generation = known.generation;
    metrics_.Add("bulkhead_tasks_seen_total");
    queue_->Add(std::move(task));
  }
}

// Of the task that comes with this node now. The journal knows what was before this process.
int TaskSets::GenerationOf(const Set& set, const std::string& node) const {
  const auto before = set.generations.find(node);
  const int generation = before == set.generations.end() ? 0 : before->second;
  return journal_ == nullptr ? generation : std::max(generation, journal_->Generation(set.workflow_uid + "/" + node));
}

void TaskSets::OnGone(const std::string& uid, End end) {
  const auto found = sets_.find(uid);
  if (found == sets_.end()) return;
  const Set& set = found->second;
  if (!options_.one) {  // otherwise its agent ends
    for (const auto& [node, known] : set.nodes) {
      if (known.task_id != 0) queue_->Cancel(known.task_id);
    }
    if (journal_ != nullptr && !set.workflow_uid.empty())
      static_cast<void>(journal_->ForgetAll(set.workflow_uid + "/").ok());
  }
  log_.Log(LogLevel::kInfo, end == End::kCompleted ? "the workflow is completed" : "the task set is gone",
           {{"workflow", set.name}});
  sets_.erase(found);
  if (!options_.one || std::exchange(ended_, true)) return;
  on_end_(end);
}

}  // namespace bulkhead::source
