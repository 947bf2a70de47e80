// What launcher and bulkhead-init say to each other over the control socket (AF_UNIX, SOCK_SEQPACKET: one
// message a packet), and between the plugin's first process and the shim before exec. Both ends are the
// same build on the same machine.
#pragma once

#include <cstdint>

namespace bulkhead::sandbox {

// The first bulkhead-init, which forks the others, has /dev/null on 0, 1 and 2 and this.
inline constexpr int kOrdersFd = 3;
// An order to fork carries the descriptors of the new process: the plugin's pipes for 1 and 2, then control,
// plan, supplies and token. The token's may be left out.
inline constexpr unsigned kMostInitFds = 6;
inline constexpr int kControlFd = 3;
inline constexpr int kPlanFd = 4;
inline constexpr int kTokenFd = 5;  // restricted, when there is a token
// A socket over which one packet comes: what the launcher makes while the process is made. Its descriptors are
// the files by which the plugin joins its control groups, and in restricted the ruleset of Landlock.
inline constexpr int kSuppliesFd = 6;
inline constexpr unsigned kMostSupplies = 4;

struct SpawnMessage {
  int32_t pid = -1;  // as the launcher sees it; the process's pidfd comes along
  int32_t error_number = 0;
};

// Launcher to init.
enum class Order : uint8_t {
  kIdentity = 'I',    // the rest: u32 length and bytes of certificate, key, authority, and the client's URI
  kConnection = 'C',  // with one descriptor: a connected stream socket
};

// Init to launcher.
enum class Notice : uint8_t {
  kProcess = 'P',      // with one descriptor: the pidfd of the shim
  kAttestation = 'A',  // AttestationMessage
  kReady = 'R',        // the plugin listens
  kFailure = 'F',      // FailureMessage
  kForbidden = 'S',    // ForbiddenMessage
  kOverLimit = 'M',    // the watch killed it for memory
  kExit = 'X',         // ExitMessage: the plugin's first process ended by itself
};

struct AttestationMessage {
  uint8_t notice = static_cast<uint8_t>(Notice::kAttestation);
  uint8_t no_new_privs = 0;
  uint8_t seccomp_filter = 0;
  uint8_t capabilities_empty = 0;
  uint8_t securebits_locked = 0;
  uint8_t probe_denied = 0;
  uint8_t landlock_denied = 0;
  uint8_t namespaces = 0;  // bit i: kNamespaces[i] differs from the launcher's
};

struct FailureMessage {
  uint8_t notice = static_cast<uint8_t>(Notice::kFailure);
  int32_t error_number = 0;
  char step[200] = {};  // ends in NUL
};

struct ForbiddenMessage {
  uint8_t notice = static_cast<uint8_t>(Notice::kForbidden);
  int32_t call = 0;
};

struct ExitMessage {
  uint8_t notice = static_cast<uint8_t>(Notice::kExit);
  uint8_t alone = 0;  // no other process of the compartment is left but the shim, which ends now
  int32_t wait_status = 0;
};

inline constexpr unsigned kLongestMessage = 16384;

}  // namespace bulkhead::sandbox
