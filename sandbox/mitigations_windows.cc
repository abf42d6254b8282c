#include "sandbox/mitigations_windows.h"

#include <windows.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "sandbox/job_limits_windows.h"

namespace brood {
namespace {

// By numbers where mingw-w64 10 lacks the names. UpdateProcThreadAttribute, GetProcessMitigationPolicy.
struct Mitigation {
  std::string_view name;
  uint64_t attribute;             // PROCESS_CREATION_MITIGATION_POLICY_..._ALWAYS_ON.
  PROCESS_MITIGATION_POLICY kind;  // By which it is read back,
  DWORD bits;                     // and its bits there.
};
constexpr Mitigation kMitigations[] = {
    {"no extension points", uint64_t{1} << 32, static_cast<PROCESS_MITIGATION_POLICY>(6), 0x1},
    {"no fonts from files", uint64_t{1} << 48, static_cast<PROCESS_MITIGATION_POLICY>(9), 0x1},
    {"no images from the network", uint64_t{1} << 52, static_cast<PROCESS_MITIGATION_POLICY>(10), 0x1},
    {"no images of low integrity", uint64_t{1} << 56, static_cast<PROCESS_MITIGATION_POLICY>(10), 0x2},
};

}  // namespace

uint64_t Mitigations() {
  uint64_t all = 0;
  for (const Mitigation& mitigation : kMitigations) all |= mitigation.attribute;
  return all;
}

absl::Status CheckMitigations(int process) {
  std::vector<std::string_view> missing;
  for (const Mitigation& mitigation : kMitigations) {
    DWORD flags = 0;
    if (!GetProcessMitigationPolicy(HandleOf(process), mitigation.kind, &flags, sizeof(flags)) ||
        (flags & mitigation.bits) != mitigation.bits) {
      missing.push_back(mitigation.name);
    }
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("process mitigation policies: ", absl::StrJoin(missing, ", "), ": set, and not read back"));
}

absl::Status ProbeMitigations() {
  wchar_t path[32768];
  const DWORD size = GetModuleFileNameW(nullptr, path, 32768);
  if (size == 0 || size == 32768) return LastErrorStatus("GetModuleFileName");
  SIZE_T list_size = 0;
  InitializeProcThreadAttributeList(nullptr, 1, 0, &list_size);
  std::vector<char> memory(list_size);
  auto* const list = reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory.data());
  if (!InitializeProcThreadAttributeList(list, 1, 0, &list_size)) return LastErrorStatus("InitializeProcThreadAttributeList");
  uint64_t mitigations = Mitigations();
  STARTUPINFOEXW startup = {};
  startup.StartupInfo.cb = sizeof(startup);
  startup.lpAttributeList = list;
  PROCESS_INFORMATION born = {};
  absl::Status status;
  if (!UpdateProcThreadAttribute(list, 0, PROC_THREAD_ATTRIBUTE_MITIGATION_POLICY, &mitigations, sizeof(mitigations), nullptr, nullptr) ||
      !CreateProcessW(path, nullptr, nullptr, nullptr, FALSE, CREATE_SUSPENDED | EXTENDED_STARTUPINFO_PRESENT, nullptr, nullptr,
                      &startup.StartupInfo, &born)) {
    status = LastErrorStatus("CreateProcess", "with mitigation policies");
  }
  DeleteProcThreadAttributeList(list);
  if (!status.ok()) return status;
  const UniqueFd thread = Own(born.hThread);
  const UniqueFd process = Own(born.hProcess);
  // Ends with this process, should that end here.
  const UniqueFd job = Own(CreateJobObjectW(nullptr, nullptr));
  if (SetJobLimits(job.get(), {}).ok()) AssignProcessToJobObject(HandleOf(job.get()), born.hProcess);
  status = CheckMitigations(process.get());
  TerminateProcess(born.hProcess, 1);
  WaitForSingleObject(born.hProcess, INFINITE);
  return status;
}

}  // namespace brood
