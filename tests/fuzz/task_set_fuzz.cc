// Lines of a watch, and lists, as an API server might send them: taken in, nothing is given to the agent twice.
#include <set>
#include <string>

#include "fuzz.h"
#include "runner/base/text.h"
#include "runner/kube/client.h"
#include "runner/kube/watch_event.h"
#include "runner/source/task_sets.h"

using namespace bulkhead;

namespace {

class Queue : public agent::TaskQueue {
 public:
  void Add(agent::Task task) override {
    fuzz::Require(task.id > last_, "ids grow");
    fuzz::Require(!task.key.empty() && task.generation >= 0, "a task has its key");
    last_ = task.id;
    ++added_;
  }
  void Cancel(uint64_t id) override { fuzz::Require(id != 0 && id <= last_, "only what was given is taken back"); }
  void Close() override {}
  size_t added() const { return added_; }

 private:
  uint64_t last_ = 0;
  size_t added_ = 0;
};

void TakeIn(source::TaskSets& sets, const kube::WatchEvent& event) {
  if (event.type == kube::WatchEvent::Type::kChanged) sets.OnSet(event.object);
  if (event.type == kube::WatchEvent::Type::kDeleted) sets.OnDeleted(event.object);
}

void TakeIn(source::TaskSets& sets, const Value& list) {
  std::set<std::string> present;
  const Value* const items = list.Find("items");
  if (items == nullptr) return;
  for (const Value& object : items->items) {
    present.insert(source::UidOf(object));
    sets.OnSet(object);
  }
  sets.OnListed(present);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static const Logger log(LogLevel::kError, LogFormat::kJson);
  Metrics metrics;
  Queue queue;
  int ends = 0;
  const bool one = data[0] % 2 == 1;
  source::TaskSets sets(
      log, metrics, nullptr, {one, data[0] % 4 == 3 ? "u" : ""},
      [](const agent::WorkflowRef&, const std::vector<std::string>& nodes) {
        fuzz::Require(!nodes.empty(), "what is gone is named");
      },
      [&](source::TaskSets::End) { ++ends; });
  sets.GiveTo(queue);
  for (const std::string& line : Split(fuzz::Text(data + 1, size - 1), '\n')) {
    const auto event = kube::ReadWatchEvent(line);
    const auto list = kube::ParseObject(line);
    if (!event.ok() && !list.ok()) continue;
    const auto take_in = [&] { event.ok() ? TakeIn(sets, *event) : TakeIn(sets, *list); };
    const bool before = sets.ended();
    const size_t had = queue.added();
    take_in();
    const size_t added = queue.added();
    fuzz::Require(!before || added == had, "after the end nothing is given");
    // A list may hold two of one name, of which each is the end of the other.
    if (!event.ok()) continue;
    take_in();
    fuzz::Require(queue.added() == added, "what comes twice is given once");
  }
  fuzz::Require(ends == (one && sets.ended() ? 1 : 0), "the end is told once");
  return 0;
}
