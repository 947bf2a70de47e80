#include "runner/sandbox/plan.h"

#include <cstring>
#include <type_traits>

namespace bulkhead::sandbox {

namespace {

// Writer and Reader visit the same members in the same order: one description serves both.
class Writer {
 public:
  template <typename T>
  requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) void Visit(const T& value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void Visit(const std::string& text) {
    Visit(static_cast<uint64_t>(text.size()));
    out += text;
  }
  template <typename T>
  void Visit(const std::vector<T>& list) {
    Visit(static_cast<uint64_t>(list.size()));
    for (const T& item : list) VisitItem(item);
  }
  template <typename T>
  void VisitItem(const T& item) {
    if constexpr (std::is_same_v<T, std::string>) {
      Visit(item);
    } else {
      Members(*this, item);
    }
  }
  template <typename T>
  static void Members(Writer& writer, const T& item);

  std::string out;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) void Visit(T& value) {
    if (rest_.size() < sizeof value) return Fail();
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
  }
  void Visit(std::string& text) {
    uint64_t size = 0;
    Visit(size);
    if (size > rest_.size()) return Fail();
    text.assign(rest_.substr(0, size));
    rest_.remove_prefix(size);
  }
  template <typename T>
  void Visit(std::vector<T>& list) {
    uint64_t count = 0;
    Visit(count);
    // Every item takes at least a byte.
    if (count > rest_.size()) return Fail();
    list.resize(count);
    for (T& item : list) VisitItem(item);
  }
  template <typename T>
  void VisitItem(T& item) {
    if constexpr (std::is_same_v<T, std::string>) {
      Visit(item);
    } else {
      Members(*this, item);
    }
  }
  template <typename T>
  static void Members(Reader& reader, T& item);

  bool Whole() const { return ok_ && rest_.empty(); }

 private:
  void Fail() {
    ok_ = false;
    rest_ = {};
  }
  std::string_view rest_;
  bool ok_ = true;
};

template <typename V, typename T>
void VisitMembers(V& v, T& item) {
  using U = std::remove_const_t<T>;
  if constexpr (std::is_same_v<U, MountEntry>) {
    v.Visit(item.kind), v.Visit(item.target), v.Visit(item.source), v.Visit(item.required);
  } else if constexpr (std::is_same_v<U, IdRange>) {
    v.Visit(item.inside), v.Visit(item.outside);
  } else if constexpr (std::is_same_v<U, LandlockPathRule>) {
    v.Visit(item.access), v.Visit(item.path), v.Visit(item.required);
  } else if constexpr (std::is_same_v<U, LandlockPortRule>) {
    v.Visit(item.access), v.Visit(item.port);
  } else {
    static_assert(std::is_same_v<U, Plan>);
    v.Visit(item.tier), v.Visit(item.name), v.Visit(item.argv), v.Visit(item.env), v.Visit(item.working_dir);
    v.Visit(item.uid), v.Visit(item.gid), v.Visit(item.switch_user), v.Visit(item.serve_port);
    v.Visit(item.token), v.Visit(item.keep_token_fd);
    v.Visit(item.uids), v.Visit(item.gids), v.Visit(item.deny_setgroups), v.Visit(item.mounts),
        v.Visit(item.scratch_bytes);
    v.Visit(item.cgroup_files), v.Visit(item.watch_memory);
    v.Visit(item.limits.memory_bytes), v.Visit(item.limits.cpu_millis), v.Visit(item.limits.pids);
    v.Visit(item.limits.open_files), v.Visit(item.limits.file_bytes), v.Visit(item.limits.scratch_bytes);
    v.Visit(item.landlock), v.Visit(item.landlock_comes), v.Visit(item.handled_fs), v.Visit(item.handled_net),
        v.Visit(item.scoped);
    v.Visit(item.landlock_paths), v.Visit(item.path_rules), v.Visit(item.port_rules), v.Visit(item.signal_guard);
    v.Visit(item.filter), v.Visit(item.filter_notifies), v.Visit(item.shim_filter);
    for (auto& inode : item.launcher_namespaces) v.Visit(inode);
  }
}

template <typename T>
void Writer::Members(Writer& writer, const T& item) {
  VisitMembers(writer, item);
}
template <typename T>
void Reader::Members(Reader& reader, T& item) {
  VisitMembers(reader, item);
}

}  // namespace

std::string SerializePlan(const Plan& plan) {
  Writer writer;
  VisitMembers(writer, plan);
  return std::move(writer.out);
}

std::optional<Plan> ParsePlan(std::string_view bytes) {
  Plan plan;
  Reader reader(bytes);
  VisitMembers(reader, plan);
  if (!reader.Whole()) return std::nullopt;
  return plan;
}

}  // namespace bulkhead::sandbox
