#include "harness.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "certs/tls.h"

namespace bulkhead::sandbox {

namespace {

// Starts `argv` as `uid` with its output in a pipe.
int SpawnAs(uint32_t uid, const std::vector<std::string>& argv, int& output) {
  int fds[2] = {};
  if (::pipe2(fds, O_CLOEXEC) != 0) return -1;
  std::vector<char*> raw;
  for (const std::string& arg : argv) raw.push_back(const_cast<char*>(arg.c_str()));
  raw.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(fds[1], 1);
    if (uid != 0 &&
        (::setgroups(0, nullptr) != 0 || ::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0))
      ::_exit(126);
    ::execv(raw[0], raw.data());
    ::_exit(127);
  }
  ::close(fds[1]);
  output = fds[0];
  return pid;
}

}  // namespace

std::string Running::Output() const {
  const std::lock_guard lock(text->mutex);
  return text->out;
}

bool Running::WaitFor(std::string_view needle) const {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < end) {
    if (Output().find(needle) != std::string::npos) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

Victim::Victim(uint32_t uid) {
  int output = -1;
  const std::string probe = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "attack_probe";
  pid_ = SpawnAs(uid, {probe, "wait"}, output);
  std::string line;
  char letter = 0;
  while (::read(output, &letter, 1) == 1 && letter != '\n') line += letter;
  ::close(output);
  address_ = line.substr(line.rfind(' ') + 1);
}

Victim::~Victim() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool Victim::alive() const {
  siginfo_t info = {};
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

bool Victim::Ends() const {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (alive() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  return !alive();
}

void AttackTest::SetUp() {
  ASSERT_EQ(::geteuid(), 0U) << "the attack tests need root: they make victims of other users";
  certs::InitTlsLibrary();
  ::signal(SIGPIPE, SIG_IGN);
  auto launcher = Launcher::Create(features_, {});
  ASSERT_TRUE(launcher.ok()) << launcher.error().message();
  launcher_ = std::move(*launcher);
  folder_ = "/opt/bulkhead-attack-" + std::to_string(::getpid());
  std::filesystem::create_directories(folder_);
  ::chmod(folder_.c_str(), 0777);
  const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  probe_ = folder_ / "probe";
  std::filesystem::copy_file(here / "attack_probe", probe_, std::filesystem::copy_options::overwrite_existing);
}

void AttackTest::TearDown() {
  launcher_.reset();
  std::filesystem::remove_all(folder_);
}

SandboxSpec AttackTest::Spec(Tier tier, std::vector<std::string> act) const {
  SandboxSpec spec;
  spec.name = "attacker";
  spec.tier = tier;
  spec.argv = {probe_};
  spec.argv.insert(spec.argv.end(), act.begin(), act.end());
  spec.env = {"PATH=/usr/bin:/bin"};
  spec.uid = spec.gid = kPluginUid;
  return spec;
}

Running AttackTest::Start(Tier tier, std::vector<std::string> act, const certs::Identity* server,
                          std::string_view client_uri, const Tweak& tweak) {
  Running running;
  running.text = std::make_shared<Running::Text>();
  LaunchCallbacks callbacks;
  callbacks.on_output = [text = running.text](Stream, std::string_view bytes) {
    const std::lock_guard lock(text->mutex);
    text->out += bytes;
  };
  SandboxSpec spec = Spec(tier, std::move(act));
  if (tweak) tweak(spec);
  auto process = launcher_->Launch(spec, server, client_uri, std::move(callbacks));
  if (!process.ok()) {
    ADD_FAILURE() << "not launched: " << process.error().message();
    return running;
  }
  running.process = std::move(*process);
  return running;
}

Outcome AttackTest::Confined(Tier tier, std::vector<std::string> act, const Tweak& tweak) {
  Running running = Start(tier, std::move(act), nullptr, "", tweak);
  Outcome outcome;
  if (running.process == nullptr) return outcome;
  const auto report = running.process->WaitExit(kPatience);
  if (!report.has_value()) ADD_FAILURE() << "still running: " << running.Output();
  if (report.has_value()) outcome.report = *report;
  outcome.out = running.Output();
  return outcome;
}

std::string AttackTest::Free(std::vector<std::string> act, uint32_t uid) const {
  act.insert(act.begin(), probe_);
  int output = -1;
  const int pid = SpawnAs(uid, act, output);
  std::string text;
  char chunk[4096];
  for (ssize_t size = 0; (size = ::read(output, chunk, sizeof chunk)) > 0;)
    text.append(chunk, static_cast<size_t>(size));
  ::close(output);
  ::waitpid(pid, nullptr, 0);
  return text;
}

}  // namespace bulkhead::sandbox
