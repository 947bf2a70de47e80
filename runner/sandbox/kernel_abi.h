// Kernel constants that the build machine's headers may lack, by number. Every value is part of the
// kernel's stable user-space interface; the release that introduced it stands beside it. Whether the
// running kernel has them is asked at run time (kernel_features.h), never concluded from headers.
#pragma once

#include <cstdint>

namespace bulkhead::sandbox::abi {

// System call numbers; the same on every architecture that uses the generic table, and on x86_64.
inline constexpr int kSysPidfdSendSignal = 424;        // 5.1
inline constexpr int kSysLandlockCreateRuleset = 444;  // 5.13
inline constexpr int kSysLandlockAddRule = 445;        // 5.13
inline constexpr int kSysLandlockRestrictSelf = 446;   // 5.13

// ioctl(2) on a pidfd: PIDFD_GET_MNT_NAMESPACE of linux/pidfd.h, _IO(0xFF, 3)
inline constexpr unsigned long kPidfdGetMountNamespace = 0xFF03;  // 6.11

// landlock_create_ruleset(2)
inline constexpr uint32_t kLandlockCreateRulesetVersion = 1;

// struct landlock_ruleset_attr as of ABI 6. An older kernel accepts it while the members that it
// doesn't know are 0 (E2BIG otherwise), so one size serves all.
struct LandlockRulesetAttr {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;  // ABI 4, 6.7
  uint64_t scoped;              // ABI 6, 6.12
};

inline constexpr int kLandlockRulePathBeneath = 1;
inline constexpr int kLandlockRuleNetPort = 2;  // ABI 4

struct [[gnu::packed]] LandlockPathBeneathAttr {
  uint64_t allowed_access;
  int32_t parent_fd;
};

struct LandlockNetPortAttr {
  uint64_t allowed_access;
  uint64_t port;  // in host byte order
};

inline constexpr uint64_t kFsExecute = 1ULL << 0U;
inline constexpr uint64_t kFsWriteFile = 1ULL << 1U;
inline constexpr uint64_t kFsReadFile = 1ULL << 2U;
inline constexpr uint64_t kFsReadDir = 1ULL << 3U;
inline constexpr uint64_t kFsRemoveDir = 1ULL << 4U;
inline constexpr uint64_t kFsRemoveFile = 1ULL << 5U;
inline constexpr uint64_t kFsMakeChar = 1ULL << 6U;
inline constexpr uint64_t kFsMakeDir = 1ULL << 7U;
inline constexpr uint64_t kFsMakeReg = 1ULL << 8U;
inline constexpr uint64_t kFsMakeSock = 1ULL << 9U;
inline constexpr uint64_t kFsMakeFifo = 1ULL << 10U;
inline constexpr uint64_t kFsMakeBlock = 1ULL << 11U;
inline constexpr uint64_t kFsMakeSym = 1ULL << 12U;
inline constexpr uint64_t kFsRefer = 1ULL << 13U;     // ABI 2, 5.19
inline constexpr uint64_t kFsTruncate = 1ULL << 14U;  // ABI 3, 6.2
inline constexpr uint64_t kFsIoctlDev = 1ULL << 15U;  // ABI 5, 6.10

// The rights that mean something for a file that is no folder; the kernel refuses a rule on such a
// file that names any other (EINVAL).
inline constexpr uint64_t kFsFileRights = kFsExecute | kFsWriteFile | kFsReadFile | kFsTruncate | kFsIoctlDev;

inline constexpr uint64_t kNetBindTcp = 1ULL << 0U;     // ABI 4, 6.7
inline constexpr uint64_t kNetConnectTcp = 1ULL << 1U;  // ABI 4, 6.7

inline constexpr uint64_t kScopeAbstractUnixSocket = 1ULL << 0U;  // ABI 6, 6.12
inline constexpr uint64_t kScopeSignal = 1ULL << 1U;              // ABI 6, 6.12

// Address families, protocols and flags that a filter has to name.
inline constexpr uint32_t kIpprotoMptcp = 262;         // 5.6
inline constexpr uint32_t kMsgFastopen = 0x20000000;   // 3.6
inline constexpr uint32_t kCloneNewtime = 0x00000080;  // 5.6; clone3 and unshare only

}  // namespace bulkhead::sandbox::abi
