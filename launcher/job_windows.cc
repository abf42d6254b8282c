#include "launcher/job_windows.h"

#include <windows.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "sandbox/job_limits_windows.h"

namespace brood::internal {
namespace {

template <typename Information>
bool Query(int job, JOBOBJECTINFOCLASS kind, Information* information) {
  *information = {};
  return QueryInformationJobObject(HandleOf(job), kind, information, sizeof(*information), nullptr) != 0;
}

}  // namespace

absl::StatusOr<Job> Job::Create(const JobLimits& limits, LayerChecks* checks) {
  Job job;
  job.handle_ = Own(CreateJobObjectW(nullptr, nullptr));
  if (!job.handle_.valid()) return LastErrorStatus("CreateJobObject");
  BROOD_ASSIGN_OR_RETURN(*checks, SetJobLimits(job.get(), limits));
  if (!limits.memory_bytes && !limits.processes && !limits.cpu_time) return job;
  job.port_ = Own(CreateIoCompletionPort(INVALID_HANDLE_VALUE, nullptr, 0, 1));
  if (!job.port_.valid()) return LastErrorStatus("CreateIoCompletionPort", "for the job");
  JOBOBJECT_ASSOCIATE_COMPLETION_PORT port = {.CompletionKey = nullptr, .CompletionPort = HandleOf(job.port_.get())};
  if (!SetInformationJobObject(HandleOf(job.get()), JobObjectAssociateCompletionPortInformation, &port, sizeof(port))) {
    return LastErrorStatus("SetInformationJobObject", "completion port");
  }
  return job;
}

std::vector<Layer> Job::TakeLimitsHit() const {
  std::vector<Layer> hit;
  DWORD message = 0;
  ULONG_PTR key = 0;
  OVERLAPPED* process = nullptr;
  while (port_.valid() && GetQueuedCompletionStatus(HandleOf(port_.get()), &message, &key, &process, 0)) {
    std::optional<Layer> layer;
    if (message == JOB_OBJECT_MSG_JOB_MEMORY_LIMIT || message == JOB_OBJECT_MSG_PROCESS_MEMORY_LIMIT) layer = Layer::kMemory;
    if (message == JOB_OBJECT_MSG_ACTIVE_PROCESS_LIMIT) layer = Layer::kProcesses;
    if (message == JOB_OBJECT_MSG_END_OF_JOB_TIME) layer = Layer::kCpuTime;
    if (layer.has_value() && std::find(hit.begin(), hit.end(), *layer) == hit.end()) hit.push_back(*layer);
  }
  return hit;
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
