// The Kubernetes sink: results as merge patches of WorkflowTaskSet's status.
//
// A result that comes while nothing is sent is sent at once; those that come while a patch is under way, or sooner
// than the rate allows, go together in the next. What the API server cannot take now stays, and newer results of the
// same node replace it. Whether a patch that was not answered was applied is not known, and the workflow may have taken
// its results out already: it is sent again only for nodes that still wait, and only if the object is as it was when
// that was looked up (by its resourceVersion), so that no result is applied twice. A result that the server refuses is
// found by halving its patch, and its node gets an Error that says why; the others are delivered.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runner/agent/journal.h"
#include "runner/agent/task.h"
#include "runner/base/clock.h"
#include "runner/base/log.h"
#include "runner/base/metrics.h"
#include "runner/kube/client.h"

namespace bulkhead::source {

struct SinkOptions {
  std::chrono::nanoseconds least_between = std::chrono::milliseconds(50);  // two patches: 20 a second
  size_t patch_bytes = 900U << 10U;  // of one patch: under etcd's limit on an object of 1.5 MiB, and 1 MiB of old
  std::chrono::nanoseconds first_pause = std::chrono::milliseconds(250);  // after a failure
  std::chrono::nanoseconds most_pause = std::chrono::seconds(10);
};

// A result that the API server refused, and what became of its node.
struct RefusedResult {
  std::string name_space;
  std::string workflow;
  std::string node;
  std::string reason;
};

class KubernetesSink : public agent::ResultSink {
 public:
  // Everything outlives the sink; `journal` may be null. `on_refused` and `on_failure` (the journal cannot be
  // written: nothing more is delivered) are called from the sink's thread and may be empty.
  KubernetesSink(kube::Client& client, const Logger& log, Metrics& metrics, agent::Journal* journal,
                 SinkOptions options, std::function<void(const RefusedResult&)> on_refused,
                 std::function<void(const Error&)> on_failure);
  ~KubernetesSink() override;  // drops what was not delivered; see Flush

  // Thread-safe.
  void Deliver(const agent::TaskReport& report) override;

  // Drops what is not delivered yet of these nodes. Thread-safe.
  void Drop(const agent::WorkflowRef& workflow, const std::vector<std::string>& nodes);

  // Waits until everything is delivered. False when `deadline` came first: what is left is in the journal.
  bool Flush(SteadyTime deadline);
  size_t pending() const;

 private:
  using SetName = std::pair<std::string, std::string>;  // namespace, name
  struct Entry {
    std::string node;
    agent::TaskKey key;
    std::string patch;  // the JSON of status.nodes[node]
    bool final = false;
    bool refused = false;    // it is the Error that stands for a refused result
    bool uncertain = false;  // it may have been delivered already
    int attempts = 0;
    SteadyTime not_before{};
  };
  using Batch = std::vector<Entry>;

  void Run();
  // The next patch, or nullopt when there is none to send yet; `wake` is when to look again.
  std::optional<std::pair<SetName, Batch>> TakeLocked(SteadyTime& wake);
  void Send(const SetName& set, Batch batch);
  // Takes out of `batch` what does not wait for its result any more; `version` becomes the object's. Not kNone: the
  // patch cannot be sent now.
  kube::Answer Guard(const SetName& set, Batch& batch, std::string& version);
  void Failed(const SetName& set, Batch batch, const kube::Answer& answer);
  void Halve(const SetName& set, Batch batch);
  void Refuse(const SetName& set, Entry entry, const std::string& reason);
  void PutBack(const SetName& set, Batch batch, std::chrono::nanoseconds pause);
  void Done(const SetName& set, const Batch& batch, bool gone);
  bool Pace();
  void Fail(const Error& error);

  kube::Client& client_;
  const Logger& log_;
  Metrics& metrics_;
  agent::Journal* const journal_;
  const SinkOptions options_;
  const std::function<void(const RefusedResult&)> on_refused_;
  const std::function<void(const Error&)> on_failure_;

  // Of the thread.
  kube::Backoff backoff_;
  SteadyTime last_patch_{};

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable flushed_;
  // Guarded by mutex_.
  std::map<SetName, std::map<std::string, Entry>> pending_;
  std::deque<SetName> turn_;  // the sets of pending_, in the order in which they are served
  SteadyTime resume_at_{};    // nothing is sent before
  size_t sending_ = 0;        // entries that are neither pending nor done
  bool stopping_ = false;
  bool failed_ = false;

  std::thread thread_;
};

}  // namespace bulkhead::source
