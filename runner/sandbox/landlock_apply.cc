#include "runner/sandbox/landlock_apply.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runner/sandbox/kernel_abi.h"

namespace bulkhead::sandbox {

namespace {

// -errno of an error, else the result.
long OrErrno(long result) noexcept {
  return result < 0 ? -errno : result;
}

int AddPath(int ruleset, const LandlockView& view, const LandlockPathRule& rule) noexcept {
  if (rule.path >= view.paths_size) return -EFAULT;
  const long fd = OrErrno(open(view.paths + rule.path, O_PATH | O_CLOEXEC));
  if (fd < 0) return fd == -ENOENT && rule.required == 0 ? 0 : static_cast<int>(fd);
  struct stat info = {};
  long result = OrErrno(fstat(static_cast<int>(fd), &info));
  if (result == 0) {
    abi::LandlockPathBeneathAttr attr = {};
    attr.allowed_access = S_ISDIR(info.st_mode) ? rule.access : rule.access & abi::kFsFileRights;
    attr.parent_fd = static_cast<int32_t>(fd);
    result = OrErrno(syscall(abi::kSysLandlockAddRule, ruleset, abi::kLandlockRulePathBeneath, &attr, 0));
  }
  close(static_cast<int>(fd));
  return static_cast<int>(result);
}

int AddPort(int ruleset, const LandlockPortRule& rule) noexcept {
  const abi::LandlockNetPortAttr attr = {rule.access, rule.port};
  return static_cast<int>(OrErrno(syscall(abi::kSysLandlockAddRule, ruleset, abi::kLandlockRuleNetPort, &attr, 0)));
}

int AddRules(int ruleset, const LandlockView& view, size_t* failed_rule) noexcept {
  for (size_t i = 0; i < view.path_count; ++i) {
    *failed_rule = i;
    if (const int error = AddPath(ruleset, view, view.path_rules[i]); error != 0) return error;
  }
  for (size_t i = 0; i < view.port_count; ++i) {
    *failed_rule = view.path_count + i;
    if (const int error = AddPort(ruleset, view.port_rules[i]); error != 0) return error;
  }
  return 0;
}

}  // namespace

int MakeLandlockRuleset(const LandlockView& view, size_t* failed_rule) noexcept {
  *failed_rule = kLandlockCreate;
  const abi::LandlockRulesetAttr attr = {view.handled_fs, view.handled_net, view.scoped};
  const int ruleset = static_cast<int>(OrErrno(syscall(abi::kSysLandlockCreateRuleset, &attr, sizeof(attr), 0)));
  if (ruleset < 0) return ruleset;
  const int error = AddRules(ruleset, view, failed_rule);
  if (error == 0) return ruleset;
  close(ruleset);
  return error;
}

int EnterLandlock(int ruleset) noexcept {
  return static_cast<int>(OrErrno(syscall(abi::kSysLandlockRestrictSelf, ruleset, 0)));
}

}  // namespace bulkhead::sandbox
