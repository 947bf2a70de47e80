// Verification of an open log. Internal to audit/.
#pragma once

#include "runner/audit/audit_log.h"

namespace bulkhead::audit {

struct FdReport {
  VerifyReport report;
  uint64_t whole_bytes = 0;  // up to the end of the last whole, verified line
};
Result<FdReport> VerifyFd(int fd);

}  // namespace bulkhead::audit
