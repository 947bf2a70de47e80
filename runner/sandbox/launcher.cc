#include "runner/sandbox/launcher.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "runner/sandbox/compartment.h"
#include "runner/sandbox/landlock.h"
#include "runner/sandbox/packet.h"
#include "runner/sandbox/plan.h"
#include "runner/sandbox/protocol.h"
#include "runner/sandbox/seccomp.h"
#include "runner/sandbox/spawner.h"
#include "runner/sandbox/supervisor.h"
#include "runner/sandbox/token_link.h"
#include "runner/sandbox/user_ids.h"
#include "runner/sandbox/view.h"

namespace bulkhead::sandbox {

namespace {

constexpr auto kSetupPatience = std::chrono::seconds(10);
constexpr int kShimPatienceMs = 1000;

struct Pair {
  UniqueFd ours, theirs;
};

Result<Pair> MakePipe() {
  int fds[2] = {};
  if (::pipe2(fds, O_CLOEXEC) != 0) return ErrnoError("pipe", errno);
  return Pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<Pair> MakeSockets(int type) {
  int fds[2] = {};
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) != 0) return ErrnoError("socketpair", errno);
  return Pair{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Secret IdentityMessage(const certs::Identity& server, std::string_view client_uri) {
  std::string message(1, static_cast<char>(Order::kIdentity));
  for (const std::string_view part : {std::string_view(server.certificate_der), server.private_key_der.Reveal(),
                                      std::string_view(server.authority_der), client_uri}) {
    const auto size = static_cast<uint32_t>(part.size());
    message.append(reinterpret_cast<const char*>(&size), sizeof size);
    message += part;
  }
  return Secret(std::move(message));
}

Error FromReport(const ExitReport& report) {
  const bool setup = report.cause == ExitReport::Cause::kSetupFailed;
  return Error(setup ? Code::kUnsupported : Code::kUnavailable, report.ToString());
}

class Process : public SandboxedProcess {
 public:
  Process(std::shared_ptr<Compartment> compartment, Supervisor& supervisor)
      : compartment_(std::move(compartment)),
        supervisor_(supervisor),
        attestation_(*compartment_->attestation),
        pid_(compartment_->tier == Tier::kStrict ? compartment_->shim : compartment_->spawned) {}

  ~Process() override {
    supervisor_.Kill(compartment_);
    // The supervisor ends it by force if need be, so this comes to an end.
    std::unique_lock lock(compartment_->mutex);
    compartment_->changed.wait(lock, [&] { return compartment_->cleaned; });
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  Status WaitReady(std::chrono::nanoseconds timeout) override {
    std::unique_lock lock(compartment_->mutex);
    const bool happened = compartment_->changed.wait_for(
        lock, timeout, [&] { return compartment_->ready || compartment_->report.has_value(); });
    if (compartment_->report.has_value()) return FromReport(*compartment_->report);
    if (!happened) return Error(Code::kDeadlineExceeded, "it does not listen");
    return OkStatus();
  }

  Result<UniqueFd> Connect() override {
    BULKHEAD_ASSIGN(Pair pair, MakeSockets(SOCK_STREAM));
    const char order = static_cast<char>(Order::kConnection);
    BULKHEAD_TRY(Tell({&order, 1}, pair.theirs));
    return std::move(pair.ours);
  }

  Status Renew(const certs::Identity& server, std::string_view client_uri) override {
    return Tell(IdentityMessage(server, client_uri).Reveal(), {});
  }

  void Kill() override { supervisor_.Kill(compartment_); }

  std::optional<ExitReport> WaitExit(std::chrono::nanoseconds timeout) override {
    std::unique_lock lock(compartment_->mutex);
    compartment_->changed.wait_for(lock, timeout, [&] { return compartment_->report.has_value(); });
    return compartment_->report;
  }

  const Attestation& attestation() const override { return attestation_; }
  int pid() const override { return pid_; }

 private:
  // A shim that is behind is waited for, but not for long: it may have stopped reading for good.
  Status Tell(std::string_view order, const UniqueFd& passed) {
    const int control = compartment_->control.get();
    bool told = SendPacket(control, order.data(), order.size(), passed);
    if (!told && errno == EAGAIN) {
      pollfd writable = {control, POLLOUT, 0};
      ::poll(&writable, 1, kShimPatienceMs);
      told = SendPacket(control, order.data(), order.size(), passed);
    }
    if (told) return OkStatus();
    return Error(Code::kUnavailable, errno == EAGAIN ? "its shim takes no orders" : "the compartment has ended");
  }

  const std::shared_ptr<Compartment> compartment_;
  Supervisor& supervisor_;
  const Attestation attestation_;
  const pid_t pid_;
};

class RealLauncher : public Launcher {
 public:
  RealLauncher(KernelFeatures features, LauncherOptions options, std::unique_ptr<Supervisor> supervisor,
               std::unique_ptr<Spawner> spawner, std::string shim_filter)
      : features_(std::move(features)),
        options_(std::move(options)),
        supervisor_(std::move(supervisor)),
        spawner_(std::move(spawner)),
        shim_filter_(std::move(shim_filter)),
        ids_(features_.root) {
    if (features_.cgroup_version != 0) {
      cgroups_ = FindCgroupPlace();
      SweepCgroups(cgroups_);
    }
    for (size_t i = 0; i < kNamespaces.size(); ++i) {
      struct stat info = {};
      const std::string path = std::string("/proc/self/ns/") + kNamespaces[i];
      if (::stat(path.c_str(), &info) == 0) namespaces_[i] = info.st_ino;
    }
  }

  Result<std::unique_ptr<SandboxedProcess>> Launch(const SandboxSpec& spec, const certs::Identity* server,
                                                   std::string_view client_uri, LaunchCallbacks callbacks) override {
    BULKHEAD_TRY(Validate(spec));
    BULKHEAD_TRY(CheckTier(spec.tier));
    if ((spec.serve_port != 0) != (server != nullptr))
      return Error(Code::kInternal, "a served port and an identity come together");
    auto compartment = std::make_shared<Compartment>();
    compartment->tier = spec.tier;
    compartment->callbacks = std::move(callbacks);
    BULKHEAD_ASSIGN(const Plan plan, MakePlan(spec, *compartment));
    Status supplied;
    BULKHEAD_TRY(Start(spec, plan, server, client_uri, *compartment, supplied));
    if (Status watched = supervisor_->Watch(compartment); !watched.ok()) {
      compartment->Kill(true);
      return std::move(watched).error();
    }
    if (!supplied.ok()) {
      supervisor_->Kill(compartment);
      return std::move(supplied).error();
    }
    auto process = AwaitAttestation(plan, compartment);
    // Only now: the kernel has one lock for all control groups, and until here the plugin's process needs it.
    PrepareNext(spec);
    return process;
  }

 private:
  Status CheckTier(Tier tier) const {
    const TierReport report = Assess(features_);
    const bool available = tier == Tier::kStrict ? report.strict : report.restricted;
    if (available) return OkStatus();
    const std::string& reason = tier == Tier::kStrict ? report.strict_reason : report.restricted_reason;
    return Error(Code::kUnsupported, "tier " + std::string(TierName(tier)) + " can't be had here: " + reason);
  }

  Result<Plan> MakePlan(const SandboxSpec& spec, Compartment& compartment) {
    Plan plan;
    plan.tier = spec.tier;
    plan.name = spec.name;
    plan.argv = spec.argv;
    plan.env = spec.env;
    plan.working_dir = spec.working_dir;
    plan.uid = spec.uid;
    plan.gid = spec.gid;
    plan.serve_port = spec.serve_port;
    plan.limits = spec.limits;
    plan.launcher_namespaces = namespaces_;
    plan.shim_filter = shim_filter_;
    plan.filter_notifies = features_.seccomp_user_notify;
    BULKHEAD_ASSIGN(plan.filter, Filter(spec));
    if (spec.tier == Tier::kStrict) {
      ids_.Assign(spec.uid, spec.gid, plan);
      plan.token = spec.token;
      plan.scratch_bytes = spec.limits.scratch_bytes;
      BULKHEAD_ASSIGN(plan.mounts, PlanView(spec));
    } else {
      BULKHEAD_TRY(MakeScratch(spec, plan, compartment));
      plan.switch_user = features_.root;
      plan.signal_guard = features_.landlock_abi < 6;
      plan.keep_token_fd = !spec.token.empty();
      if (plan.keep_token_fd) BULKHEAD_TRY(EnsureTokenLink());
    }
    plan.landlock = features_.landlock_abi > 0;
    plan.landlock_comes = plan.landlock && spec.tier == Tier::kRestricted;
    if (!plan.landlock_comes) AddLandlock(spec, plan);
    plan.cgroup_files = cgroups_.version == 0 ? 0 : static_cast<uint32_t>(cgroups_.folders.size());
    plan.watch_memory = cgroups_.version == 0;
    return plan;
  }

  Result<std::unique_ptr<Cgroup>> TakeCgroup(const Limits& limits) {
    {
      const std::lock_guard lock(mutex_);
      if (next_cgroup_ != nullptr && next_cgroup_->limits() == limits) return std::move(next_cgroup_);
    }
    return Cgroup::Create(cgroups_, limits);
  }

  Result<TempDir> TakeScratch() {
    {
      const std::lock_guard lock(mutex_);
      if (next_scratch_.has_value()) return *std::exchange(next_scratch_, std::nullopt);
    }
    const std::string parent = !options_.scratch_root.empty() ? options_.scratch_root : features_.root ? "/tmp" : "";
    return TempDir::Create("bulkhead-", parent);
  }

  // For the next launch. What fails here fails again there, and is told there.
  void PrepareNext(const SandboxSpec& spec) {
    if (cgroups_.version != 0) {
      auto cgroup = TakeCgroup(spec.limits);
      const std::lock_guard lock(mutex_);
      if (cgroup.ok()) next_cgroup_.swap(*cgroup);
    }
    if (spec.tier == Tier::kRestricted) {
      auto scratch = TakeScratch();
      const std::lock_guard lock(mutex_);
      if (scratch.ok()) next_scratch_ = std::move(*scratch);
    }
  }

  // The same for all plugins of a profile and tier, with or without ports.
  Result<std::string> Filter(const SandboxSpec& spec) {
    const std::lock_guard lock(mutex_);
    std::string& filter = filters_[{spec.seccomp_profile, spec.tier, spec.ports.empty()}];
    if (filter.empty()) {
      BULKHEAD_ASSIGN(SeccompProgram program,
                      CompilePluginFilter(spec.seccomp_profile, spec.tier, features_, spec.ports));
      filter = std::move(program.bpf);
    }
    return filter;
  }

  Status MakeScratch(const SandboxSpec& spec, Plan& plan, Compartment& compartment) {
    BULKHEAD_ASSIGN(TempDir scratch, TakeScratch());
    const std::string path = scratch.path();
    if (features_.root && ::chown(path.c_str(), spec.uid, spec.gid) != 0) return ErrnoError("chown " + path, errno);
    compartment.scratch.emplace(std::move(scratch));
    const bool has_tmpdir = std::any_of(plan.env.begin(), plan.env.end(),
                                        [](const std::string& variable) { return variable.starts_with("TMPDIR="); });
    if (!has_tmpdir) plan.env.push_back("TMPDIR=" + path);
    return OkStatus();
  }

  Status EnsureTokenLink() {
    const std::lock_guard lock(mutex_);
    if (token_link_ != nullptr) return OkStatus();
    BULKHEAD_ASSIGN(token_link_, TokenLink::Create(options_.token_dir));
    return OkStatus();
  }

  void AddLandlock(const SandboxSpec& spec, Plan& plan) const {
    const LandlockPlan landlock = PlanLandlock(spec, features_, "");
    const FlatLandlock flat(landlock);
    const LandlockView view = flat.View();
    plan.handled_fs = view.handled_fs;
    plan.handled_net = view.handled_net;
    plan.scoped = view.scoped;
    plan.landlock_paths.assign(view.paths, view.paths_size);
    plan.path_rules.assign(view.path_rules, view.path_rules + view.path_count);
    plan.port_rules.assign(view.port_rules, view.port_rules + view.port_count);
  }

  // What the plugin's process needs only when it has been forked, made and sent while that goes on: each path of a
  // ruleset costs four system calls, and the kernel takes its time for a control group.
  Status Supply(const SandboxSpec& spec, const Plan& plan, Compartment& compartment, int socket) {
    std::vector<UniqueFd> supplies;
    if (cgroups_.version != 0) {
      BULKHEAD_ASSIGN(compartment.cgroup, TakeCgroup(spec.limits));
      BULKHEAD_ASSIGN(supplies, compartment.cgroup->OpenProcs());
    }
    if (plan.landlock_comes) {
      BULKHEAD_ASSIGN(UniqueFd ruleset, MakeRuleset(spec, compartment.scratch->path()));
      supplies.push_back(std::move(ruleset));
    }
    std::vector<int> fds;
    fds.reserve(supplies.size());
    for (const UniqueFd& supply : supplies) fds.push_back(supply.get());
    const char supply = 'S';
    // Where nobody receives it any more, the control socket tells why.
    SendPacket(socket, &supply, sizeof supply, fds);
    return OkStatus();
  }

  Result<UniqueFd> MakeRuleset(const SandboxSpec& spec, const std::string& scratch) const {
    const LandlockPlan landlock = PlanLandlock(spec, features_, scratch);
    const FlatLandlock flat(landlock);
    size_t failed = 0;
    const int ruleset = MakeLandlockRuleset(flat.View(), &failed);
    if (ruleset < 0) return ErrnoError("Landlock: " + DescribeRule(landlock, failed), -ruleset);
    return UniqueFd(ruleset);
  }

  // `supplied`: what came of Supply. Without supplies the compartment ends by itself.
  Status Start(const SandboxSpec& spec, const Plan& plan, const certs::Identity* server, std::string_view client_uri,
               Compartment& compartment, Status& supplied) {
    BULKHEAD_ASSIGN(Pair out, MakePipe());
    BULKHEAD_ASSIGN(Pair err, MakePipe());
    BULKHEAD_ASSIGN(Pair control, MakeSockets(SOCK_SEQPACKET));
    BULKHEAD_ASSIGN(const Pair supplies, MakeSockets(SOCK_SEQPACKET));
    BULKHEAD_ASSIGN(const UniqueFd plan_memory, SealedMemory("bulkhead-plan", Secret(SerializePlan(plan)).Reveal()));
    UniqueFd token;
    if (plan.keep_token_fd) {
      BULKHEAD_ASSIGN(token, SealedMemory("token", spec.token));
    }
    const InitFds fds = {out.theirs.get(),  err.theirs.get(),      control.theirs.get(),
                         plan_memory.get(), supplies.theirs.get(), token.get()};
    BULKHEAD_ASSIGN(Spawned spawned,
                    spawner_->Spawn(fds, [&] { supplied = Supply(spec, plan, compartment, supplies.ours.get()); }));
    compartment.spawned = spawned.pid;
    compartment.spawned_pidfd = std::move(spawned.pidfd);
    compartment.control = std::move(control.ours);
    compartment.output[0] = std::move(out.ours);
    compartment.output[1] = std::move(err.ours);
    // Waits in the socket until the shim reads it, which it does only after the plugin was forked: the
    // plugin's process never held the key.
    if (server != nullptr) {
      const Secret message = IdentityMessage(*server, client_uri);
      SendPacket(compartment.control.get(), message.Reveal().data(), message.Reveal().size());
    }
    return OkStatus();
  }

  Result<std::unique_ptr<SandboxedProcess>> AwaitAttestation(const Plan& plan,
                                                             const std::shared_ptr<Compartment>& compartment) {
    bool in_time = false;
    {
      std::unique_lock lock(compartment->mutex);
      in_time = compartment->changed.wait_for(lock, kSetupPatience, [&] {
        return compartment->attestation.has_value() || compartment->report.has_value();
      });
      if (!compartment->attestation.has_value() && compartment->report.has_value())
        return FromReport(*compartment->report);
    }
    if (!in_time) {
      supervisor_->Kill(compartment);
      return Error(Code::kDeadlineExceeded, "its compartment was not made within 10s");
    }
    auto process = std::make_unique<Process>(compartment, *supervisor_);
    // bulkhead-init insists on the same; a broken one must not pass here either.
    const Attestation& proof = process->attestation();
    const bool proved = proof.no_new_privs && proof.seccomp_filter && proof.capabilities_empty && proof.probe_denied &&
                        (!plan.landlock || proof.landlock_denied) &&
                        (plan.tier != Tier::kStrict || proof.namespaces.size() == kNamespaces.size());
    if (!proved) return Error(Code::kUnsupported, "its compartment could not be proved: the plugin was not started");
    return std::unique_ptr<SandboxedProcess>(std::move(process));
  }

  const KernelFeatures features_;
  const LauncherOptions options_;
  const std::unique_ptr<Supervisor> supervisor_;
  const std::unique_ptr<Spawner> spawner_;
  const std::string shim_filter_;
  CgroupPlace cgroups_;
  std::array<uint64_t, kNamespaces.size()> namespaces_ = {};

  std::mutex mutex_;
  UserIds ids_;
  std::map<std::tuple<std::string, Tier, bool>, std::string> filters_;  // guarded by mutex_
  std::unique_ptr<TokenLink> token_link_;                               // guarded by mutex_
  std::unique_ptr<Cgroup> next_cgroup_;                                 // guarded by mutex_
  std::optional<TempDir> next_scratch_;                                 // guarded by mutex_
};

std::string InitBesideThisProgram() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / "bulkhead-init").string();
}

// What a trial launch starts: an image of nothing but Bulkhead has no `true`, but bulkhead-init in /usr/bin.
std::vector<std::string> TrialProgram() {
  if (::access("/usr/bin/true", X_OK) == 0 || ::access("/bin/true", X_OK) == 0) return {"true"};
  return {InitBesideThisProgram(), "--trial"};
}

}  // namespace

Result<std::unique_ptr<Launcher>> Launcher::Create(const KernelFeatures& features, LauncherOptions options) {
  if (options.init_path.empty()) options.init_path = InitBesideThisProgram();
  if (::access(options.init_path.c_str(), X_OK) != 0) {
    return Error(Code::kNotFound, options.init_path + " is missing: bulkhead-init must lie beside bulkhead");
  }
  std::string shim_filter;
  if (features.seccomp_filter) {
    BULKHEAD_ASSIGN(SeccompProgram program, CompileShimFilter());
    shim_filter = std::move(program.bpf);
  }
  BULKHEAD_ASSIGN(std::unique_ptr<Spawner> spawner, Spawner::Create(options.init_path));
  BULKHEAD_ASSIGN(std::unique_ptr<Supervisor> supervisor, Supervisor::Create());
  return std::unique_ptr<Launcher>(new RealLauncher(features, std::move(options), std::move(supervisor),
                                                    std::move(spawner), std::move(shim_filter)));
}

TierReport TryTiers(const KernelFeatures& features, Launcher& launcher) {
  TierReport report = Assess(features);
  const auto attempt = [&](Tier tier, bool& available, std::string& reason) {
    if (!available) return;
    SandboxSpec spec;
    spec.name = "probe";
    spec.tier = tier;
    spec.argv = TrialProgram();
    spec.env = {"PATH=/usr/bin:/bin"};
    auto process = launcher.Launch(spec, nullptr, "", {});
    std::optional<ExitReport> end;
    if (process.ok()) end = (*process)->WaitExit(std::chrono::seconds(10));
    available = end.has_value() && end->cause == ExitReport::Cause::kExited && end->exit_code == 0;
    if (available) return;
    reason = "a trial launch failed: " + (!process.ok()     ? process.error().message()
                                          : end.has_value() ? end->ToString()
                                                            : "it did not end");
  };
  attempt(Tier::kStrict, report.strict, report.strict_reason);
  attempt(Tier::kRestricted, report.restricted, report.restricted_reason);
  return report;
}

}  // namespace bulkhead::sandbox
