#include "runner/sandbox/signal_guard.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "runner/sandbox/kernel_abi.h"

namespace bulkhead::sandbox {

void BuildSignalGuard(pid_t self, sock_filter (&program)[kSignalGuardLength]) noexcept {
  constexpr uint32_t kNr = offsetof(seccomp_data, nr);
  constexpr uint32_t kFirst = offsetof(seccomp_data, args);  // the low half: little-endian
  constexpr uint32_t kSecond = kFirst + sizeof(uint64_t);
  const sock_filter code[kSignalGuardLength] = {
      /* 0 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNr),
      /* 1 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_kill, 15, 0),
      /* 2 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 14, 0),
      /* 3 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tkill, 18, 0),
      /* 4 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigqueueinfo, 17, 0),
      /* 5 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_tgsigqueueinfo, 16, 0),
      /* 6 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, abi::kSysPidfdSendSignal, 15, 0),
      /* 7 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 2, 0),
      /* 8 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 1, 0),
      /* 9 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      // fcntl and ioctl: not who gets the signals of a descriptor, nor which. No number means something else to the
      // other.
      /* 10 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kSecond),
      /* 11 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_SETOWN, 10, 0),
      /* 12 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_SETOWN_EX, 9, 0),
      /* 13 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_SETSIG, 8, 0),
      /* 14 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FIOSETOWN, 7, 0),
      /* 15 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SIOCSPGRP, 6, 0),
      /* 16 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      // kill and tgkill: the first argument is 0, the first process, or its group.
      /* 17 */ BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kFirst),
      /* 18 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0),
      /* 19 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(-self), 1, 0),
      /* 20 */ BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(self), 0, 1),
      /* 21 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      /* 22 */ BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
  };
  for (size_t i = 0; i < kSignalGuardLength; ++i) program[i] = code[i];
}

}  // namespace bulkhead::sandbox
