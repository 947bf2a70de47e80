#include "runner/sandbox/signal_guard.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "runner/sandbox/kernel_abi.h"

namespace bulkhead::sandbox {

void BuildSignalGuard(pid_t self, sock_filter (&program)[kSignalGuardLength]) noexcept {
  constexpr uint32_t kNr = offsetof(seccomp_data, nr);
  constexpr uint32_t kFirst = offsetof(seccomp_data, args);  // the low half: little-endian
  const sock_filter code[kSignalGuardLength] = {
      /* 0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNr),
      /* 1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 6, 0),
      /* 2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 5, 0),
      /* 3 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tkill, 9, 0),
      /* 4 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigqueueinfo, 8, 0),
      /* 5 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_tgsigqueueinfo, 7, 0),
      /* 6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, abi::kSysPidfdSendSignal, 6, 0),
      /* 7 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      // kill and tgkill: the first argument is 0, the first process, or its group.
      /* 8 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFirst),
      /* 9 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0),
      /* 10 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(-self), 1, 0),
      /* 11 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(self), 0, 1),
      /* 12 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      /* 13 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
  };
  for (size_t i = 0; i < kSignalGuardLength; ++i) program[i] = code[i];
}

}  // namespace bulkhead::sandbox
