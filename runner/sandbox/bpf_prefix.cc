#include "runner/sandbox/bpf_prefix.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runner/sandbox/kernel_abi.h"

namespace bulkhead::sandbox {

namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#else
#error "unsupported architecture"
#endif

constexpr uint32_t kIoprioWhoProcess = 1;  // ioprio_set(2); no header of the C library has it
constexpr uint32_t kTiocsti = 0x5412;
constexpr uint32_t kTioclinux = 0x541C;
constexpr uint32_t kSocketType = 0xF;  // without SOCK_NONBLOCK and SOCK_CLOEXEC

class Assembler {
 public:
  // Jumps go forward to labels, which are placed once.
  using Label = size_t;
  Label NewLabel() {
    targets_.push_back(0);
    return targets_.size() - 1;
  }
  void Place(Label label) { targets_[label] = code_.size(); }

  void LoadNr() { Emit(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)); }
  void LoadArch() { Emit(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)); }
  void LoadArgument(unsigned index) {
    Emit(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offsetof(seccomp_data, args) + index * sizeof(uint64_t)));
  }
  void LoadUpperArgument(unsigned index) {
    Emit(BPF_LD | BPF_W | BPF_ABS,
         static_cast<uint32_t>(offsetof(seccomp_data, args) + index * sizeof(uint64_t) + sizeof(uint32_t)));
  }
  void And(uint32_t mask) { Emit(BPF_ALU | BPF_AND | BPF_K, mask); }
  void JumpIfEqual(uint32_t value, Label label) { Jump(BPF_JEQ, value, label, true); }
  void JumpUnlessEqual(uint32_t value, Label label) { Jump(BPF_JEQ, value, label, false); }
  void JumpIfSet(uint32_t mask, Label label) { Jump(BPF_JSET, mask, label, true); }
  void Return(int error) { Emit(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<uint32_t>(error)); }

  std::string Finish() {
    for (const Patch& patch : patches_) {
      const auto distance = static_cast<uint8_t>(targets_[patch.label] - patch.at - 1);
      (patch.taken ? code_[patch.at].jt : code_[patch.at].jf) = distance;
    }
    return {reinterpret_cast<const char*>(code_.data()), code_.size() * sizeof(sock_filter)};
  }

 private:
  struct Patch {
    size_t at = 0;
    Label label = 0;
    bool taken = false;
  };
  void Emit(unsigned operation, size_t k) {
    code_.push_back({static_cast<uint16_t>(operation), 0, 0, static_cast<uint32_t>(k)});
  }
  void Jump(unsigned test, uint32_t k, Label label, bool taken) {
    patches_.push_back({code_.size(), label, taken});
    Emit(BPF_JMP | test | BPF_K, k);
  }
  std::vector<sock_filter> code_;
  std::vector<size_t> targets_;
  std::vector<Patch> patches_;
};

void Ioctl(Assembler& code) {
  const auto refuse = code.NewLabel();
  const auto next = code.NewLabel();
  code.LoadNr();
  code.JumpUnlessEqual(SYS_ioctl, next);
  code.LoadArgument(1);
  code.JumpIfEqual(kTiocsti, refuse);
  code.JumpUnlessEqual(kTioclinux, next);
  code.Place(refuse);
  code.Return(EPERM);
  code.Place(next);
}

// MSG_FASTOPEN connects without connect(2), which Landlock watches.
void FastOpen(Assembler& code, uint32_t call, unsigned flags_argument) {
  const auto refuse = code.NewLabel();
  const auto next = code.NewLabel();
  code.LoadNr();
  code.JumpUnlessEqual(call, next);
  code.LoadArgument(flags_argument);
  code.JumpIfSet(abi::kMsgFastopen, refuse);
  code.JumpUnlessEqual(UINT32_MAX, next);  // always: nothing has all flags
  code.Place(refuse);
  code.Return(EOPNOTSUPP);
  code.Place(next);
}

// Landlock knows neither datagrams nor MPTCP, nor Unix sockets with a path: in restricted, which has no
// network and mount namespace, only TCP is left.
void Socket(Assembler& code, Tier tier) {
  const auto internet = code.NewLabel();
  const auto stream = code.NewLabel();
  const auto datagram = code.NewLabel();
  const auto netlink = code.NewLabel();
  const auto next = code.NewLabel();
  code.LoadNr();
  code.JumpUnlessEqual(SYS_socket, next);
  code.LoadArgument(0);
  code.JumpIfEqual(AF_INET, internet);
  code.JumpIfEqual(AF_INET6, internet);
  if (tier == Tier::kStrict) {
    code.JumpIfEqual(AF_UNIX, next);
    code.JumpIfEqual(AF_NETLINK, netlink);
  }
  code.Return(tier == Tier::kStrict ? EAFNOSUPPORT : EACCES);
  code.Place(netlink);  // protocol 0, NETLINK_ROUTE: getifaddrs(3)
  code.LoadArgument(2);
  code.JumpIfEqual(0, next);
  code.Return(EPROTONOSUPPORT);
  code.Place(internet);
  code.LoadArgument(1);
  code.And(kSocketType);
  code.JumpIfEqual(SOCK_STREAM, stream);
  if (tier == Tier::kStrict) code.JumpIfEqual(SOCK_DGRAM, datagram);
  code.Return(EACCES);
  code.Place(stream);
  code.LoadArgument(2);
  code.JumpIfEqual(0, next);
  code.JumpIfEqual(IPPROTO_TCP, next);
  code.Return(EPROTONOSUPPORT);
  code.Place(datagram);
  code.LoadArgument(2);
  code.JumpIfEqual(0, next);
  code.JumpIfEqual(IPPROTO_UDP, next);
  code.Return(EPROTONOSUPPORT);
  code.Place(next);
}

// Of one's own process, which is 0, or EPERM: for another of the same user the kernel asks for no privilege, and
// neither Landlock nor the dumpable flag stops it. One could end the agent by a limit, or blind the shim.
void OwnSchedulingOnly(Assembler& code) {
  const auto check = code.NewLabel();
  const auto next = code.NewLabel();
  code.LoadNr();
  for (const int call : {SYS_sched_setaffinity, SYS_sched_setscheduler, SYS_sched_setparam})
    code.JumpIfEqual(static_cast<uint32_t>(call), check);
  code.JumpUnlessEqual(SYS_sched_setattr, next);
  code.Place(check);
  code.LoadArgument(0);
  code.JumpIfEqual(0, next);
  code.Return(EPERM);
  code.Place(next);
}

// setpriority and ioprio_set: `which` is a process, `who` is 0.
void OwnPriorityOnly(Assembler& code, uint32_t call, uint32_t process) {
  const auto refuse = code.NewLabel();
  const auto next = code.NewLabel();
  code.LoadNr();
  code.JumpUnlessEqual(call, next);
  code.LoadArgument(0);
  code.JumpUnlessEqual(process, refuse);
  code.LoadArgument(1);
  code.JumpIfEqual(0, next);
  code.Place(refuse);
  code.Return(EPERM);
  code.Place(next);
}

// Another's limits may be read, where the kernel lets them: the pointer to new ones is null.
void OwnLimitsOnly(Assembler& code) {
  const auto refuse = code.NewLabel();
  const auto next = code.NewLabel();
  code.LoadNr();
  code.JumpUnlessEqual(SYS_prlimit64, next);
  code.LoadArgument(0);
  code.JumpIfEqual(0, next);
  code.LoadArgument(2);
  code.JumpUnlessEqual(0, refuse);
  code.LoadUpperArgument(2);
  code.JumpIfEqual(0, next);
  code.Place(refuse);
  code.Return(EPERM);
  code.Place(next);
}

}  // namespace

std::string BpfPrefix(Tier tier) {
  Assembler code;
  const auto end = code.NewLabel();
  code.LoadArch();
  code.JumpUnlessEqual(kArchitecture, end);  // killed by what follows
  Ioctl(code);
  FastOpen(code, SYS_sendto, 3);
  FastOpen(code, SYS_sendmsg, 2);
  FastOpen(code, SYS_sendmmsg, 3);
  Socket(code, tier);
  OwnSchedulingOnly(code);
  OwnPriorityOnly(code, SYS_setpriority, PRIO_PROCESS);
  OwnPriorityOnly(code, SYS_ioprio_set, kIoprioWhoProcess);
  OwnLimitsOnly(code);
  code.Place(end);
  return code.Finish();
}

}  // namespace bulkhead::sandbox
