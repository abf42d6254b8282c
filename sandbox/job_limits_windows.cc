#include "sandbox/job_limits_windows.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"

namespace brood {
namespace {

constexpr DWORD kAllUi = JOB_OBJECT_UILIMIT_HANDLES | JOB_OBJECT_UILIMIT_READCLIPBOARD | JOB_OBJECT_UILIMIT_WRITECLIPBOARD |
                         JOB_OBJECT_UILIMIT_SYSTEMPARAMETERS | JOB_OBJECT_UILIMIT_DISPLAYSETTINGS |
                         JOB_OBJECT_UILIMIT_GLOBALATOMS | JOB_OBJECT_UILIMIT_DESKTOP | JOB_OBJECT_UILIMIT_EXITWINDOWS;

// In units of 100 nanoseconds.
int64_t Ticks(absl::Duration time) { return absl::ToInt64Nanoseconds(absl::Ceil(time, absl::Nanoseconds(100))) / 100; }

absl::Status Compare(std::string_view what, uint64_t set, bool flag_kept, uint64_t read) {
  if (flag_kept && read == set) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("job object: ", what, " was set to ", set, " and reads back as ", flag_kept ? absl::StrCat(read) : "no limit"));
}

absl::Status Refused(std::string_view what, DWORD error) {
  return absl::FailedPreconditionError(WindowsStatus(error, "job object:", what).message());
}

}  // namespace

JOBOBJECT_EXTENDED_LIMIT_INFORMATION ExtendedLimitsOf(const JobLimits& limits) {
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION result = {};
  DWORD& flags = result.BasicLimitInformation.LimitFlags;
  // A crash shows no dialog, which would keep the child from ending. No flag lets anything break away.
  flags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
  if (limits.memory_bytes) {
    flags |= JOB_OBJECT_LIMIT_JOB_MEMORY;
    result.JobMemoryLimit = *limits.memory_bytes;
  }
  if (limits.processes) {
    flags |= JOB_OBJECT_LIMIT_ACTIVE_PROCESS;
    // More than fit are no limit at all.
    result.BasicLimitInformation.ActiveProcessLimit =
        static_cast<DWORD>(std::min<uint64_t>(*limits.processes, std::numeric_limits<DWORD>::max()));
  }
  if (limits.cpu_time) {
    flags |= JOB_OBJECT_LIMIT_JOB_TIME;
    result.BasicLimitInformation.PerJobUserTimeLimit.QuadPart = Ticks(*limits.cpu_time);
  }
  return result;
}

DWORD UiRestrictionsOf(const JobLimits& limits) { return limits.restricts_ui ? kAllUi : 0; }

absl::StatusOr<LayerChecks> SetJobLimits(int job, const JobLimits& limits) {
  const HANDLE handle = HandleOf(job);
  LayerChecks checks;
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION set = ExtendedLimitsOf(limits);
  const bool any = limits.memory_bytes || limits.processes || limits.cpu_time;
  DWORD refused = ERROR_SUCCESS;
  if (!SetInformationJobObject(handle, JobObjectExtendedLimitInformation, &set, sizeof(set))) {
    refused = GetLastError();
    // Which of them it is does not say; without any, it is the job itself.
    set = ExtendedLimitsOf({});
    if (!any || !SetInformationJobObject(handle, JobObjectExtendedLimitInformation, &set, sizeof(set))) {
      return LastErrorStatus("SetInformationJobObject", "kill on close");
    }
  }
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION read = {};
  if (any && refused == ERROR_SUCCESS &&
      !QueryInformationJobObject(handle, JobObjectExtendedLimitInformation, &read, sizeof(read), nullptr)) {
    refused = GetLastError();
  }
  const JOBOBJECT_BASIC_LIMIT_INFORMATION& basic = read.BasicLimitInformation;
  const auto check = [&](Layer layer, std::string_view what, DWORD flag, uint64_t wanted, uint64_t found) {
    checks[layer] = refused != ERROR_SUCCESS ? Refused(what, refused) : Compare(what, wanted, (basic.LimitFlags & flag) != 0, found);
  };
  if (limits.memory_bytes) check(Layer::kMemory, "memory in bytes", JOB_OBJECT_LIMIT_JOB_MEMORY, set.JobMemoryLimit, read.JobMemoryLimit);
  if (limits.processes) {
    check(Layer::kProcesses, "active processes", JOB_OBJECT_LIMIT_ACTIVE_PROCESS, set.BasicLimitInformation.ActiveProcessLimit,
          basic.ActiveProcessLimit);
  }
  if (limits.cpu_time) {
    check(Layer::kCpuTime, "user time in units of 100 ns", JOB_OBJECT_LIMIT_JOB_TIME,
          static_cast<uint64_t>(set.BasicLimitInformation.PerJobUserTimeLimit.QuadPart),
          static_cast<uint64_t>(basic.PerJobUserTimeLimit.QuadPart));
  }
  if (limits.restricts_ui) {
    JOBOBJECT_BASIC_UI_RESTRICTIONS ui = {.UIRestrictionsClass = UiRestrictionsOf(limits)};
    JOBOBJECT_BASIC_UI_RESTRICTIONS ui_read = {};
    const bool done = SetInformationJobObject(handle, JobObjectBasicUIRestrictions, &ui, sizeof(ui)) &&
                      QueryInformationJobObject(handle, JobObjectBasicUIRestrictions, &ui_read, sizeof(ui_read), nullptr);
    checks[Layer::kIpc] = done ? Compare("restrictions of the user interface", ui.UIRestrictionsClass, true, ui_read.UIRestrictionsClass)
                               : Refused("restrictions of the user interface", GetLastError());
  }
  return checks;
}

absl::StatusOr<LayerChecks> ProbeJobLimits(const JobLimits& limits) {
  const UniqueFd job = Own(CreateJobObjectW(nullptr, nullptr));
  if (!job.valid()) return LastErrorStatus("CreateJobObject");
  return SetJobLimits(job.get(), limits);
}

}  // namespace brood
