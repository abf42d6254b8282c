#include "launcher/job_windows.h"

#include <windows.h>

#include <utility>

#include "base/windows_error.h"
#include "base/windows_handle.h"

namespace brood::internal {
namespace {

template <typename Information>
bool Query(int job, JOBOBJECTINFOCLASS kind, Information* information) {
  *information = {};
  return QueryInformationJobObject(HandleOf(job), kind, information, sizeof(*information), nullptr) != 0;
}

}  // namespace

absl::StatusOr<Job> Job::Create() {
  UniqueFd handle = Own(CreateJobObjectW(nullptr, nullptr));
  if (!handle.valid()) return LastErrorStatus("CreateJobObject");
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {};
  // A crash shows no dialog, which would keep the child from ending.
  limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
  if (!SetInformationJobObject(HandleOf(handle.get()), JobObjectExtendedLimitInformation, &limits, sizeof(limits))) {
    return LastErrorStatus("SetInformationJobObject", "kill on close");
  }
  return Job(std::move(handle));
}

absl::Status Job::Terminate(uint32_t exit_code) const {
  if (!valid()) return absl::OkStatus();
  if (!TerminateJobObject(HandleOf(get()), exit_code)) return LastErrorStatus("TerminateJobObject");
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> Job::ActiveProcesses() const {
  JOBOBJECT_BASIC_ACCOUNTING_INFORMATION accounting;
  if (!Query(get(), JobObjectBasicAccountingInformation, &accounting)) return LastErrorStatus("QueryInformationJobObject");
  return accounting.ActiveProcesses;
}

absl::Duration Job::CpuTime() const {
  JOBOBJECT_BASIC_ACCOUNTING_INFORMATION accounting;
  if (!Query(get(), JobObjectBasicAccountingInformation, &accounting)) return absl::ZeroDuration();
  // In units of 100 nanoseconds.
  return absl::Nanoseconds(100) * (accounting.TotalUserTime.QuadPart + accounting.TotalKernelTime.QuadPart);
}

uint64_t Job::PeakMemoryBytes() const {
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION information;
  return Query(get(), JobObjectExtendedLimitInformation, &information) ? information.PeakJobMemoryUsed : 0;
}

}  // namespace brood::internal
