#include "sandbox/app_container_windows.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "sandbox/job_limits_windows.h"
#include "sandbox/token_windows.h"

namespace brood {
namespace {

// ProcThreadAttributeValue(9, FALSE, TRUE, FALSE).
constexpr DWORD_PTR kSecurityCapabilities = 0x00020009;

using DeriveFunction = HRESULT(WINAPI*)(PCWSTR name, PSID* sid);

absl::StatusOr<DeriveFunction> Derive() {
  // For good: it is the system's, and others need it, too.
  static const HMODULE library = LoadLibraryExW(L"userenv.dll", nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32);
  if (library == nullptr) return LastErrorStatus("load", "userenv.dll");
  auto* const function = reinterpret_cast<DeriveFunction>(
      reinterpret_cast<void (*)()>(GetProcAddress(library, "DeriveAppContainerSidFromAppContainerName")));
  if (function == nullptr) return LastErrorStatus("DeriveAppContainerSidFromAppContainerName");
  return function;
}

absl::Status NotSo(const absl::Status& status) { return absl::FailedPreconditionError(status.message()); }

// A program of the system's, which every application package may read: this one's own folder may be closed to them.
absl::Status BirthIn(const AppContainer& container, LPPROC_THREAD_ATTRIBUTE_LIST list, const UniqueFd& token, const TokenLimits& limits) {
  wchar_t folder[MAX_PATH];
  const UINT length = GetSystemDirectoryW(folder, MAX_PATH);
  if (length == 0 || length >= MAX_PATH) return NotSo(LastErrorStatus("GetSystemDirectory"));
  const std::wstring program = std::wstring(folder, length) + L"\\cmd.exe";
  STARTUPINFOEXW startup = {};
  startup.StartupInfo.cb = sizeof(startup);
  startup.lpAttributeList = list;
  PROCESS_INFORMATION born = {};
  constexpr DWORD kFlags = CREATE_SUSPENDED | EXTENDED_STARTUPINFO_PRESENT;
  const BOOL created =
      token.valid() ? CreateProcessAsUserW(HandleOf(token.get()), program.c_str(), nullptr, nullptr, nullptr, FALSE, kFlags, nullptr,
                                           folder, &startup.StartupInfo, &born)
                    : CreateProcessW(program.c_str(), nullptr, nullptr, nullptr, FALSE, kFlags, nullptr, folder, &startup.StartupInfo, &born);
  if (!created) return NotSo(LastErrorStatus("CreateProcess", token.valid() ? "in an AppContainer, with a restricted token" : "in an AppContainer"));
  const UniqueFd thread = Own(born.hThread);
  const UniqueFd process = Own(born.hProcess);
  // Ends with this process, should that end here.
  const UniqueFd job = Own(CreateJobObjectW(nullptr, nullptr));
  if (SetJobLimits(job.get(), {}).ok()) AssignProcessToJobObject(HandleOf(job.get()), born.hProcess);
  absl::Status status = container.Check(process.get());
  for (const auto& [layer, check] : CheckTokenOf(process.get(), limits)) status.Update(check);
  TerminateProcess(born.hProcess, 1);
  WaitForSingleObject(born.hProcess, INFINITE);
  return status;
}

}  // namespace

AppContainer::AppContainer(PSID sid) : sid_(sid) { capabilities_.AppContainerSid = sid; }
AppContainer::AppContainer(AppContainer&& other) noexcept : sid_(std::exchange(other.sid_, nullptr)) {
  capabilities_.AppContainerSid = sid_;
}
AppContainer::~AppContainer() {
  if (sid_ != nullptr) FreeSid(sid_);
}

absl::StatusOr<AppContainer> AppContainer::Create() {
  BROOD_ASSIGN_OR_RETURN(const DeriveFunction derive, Derive());
  std::array<uint8_t, 16> random;
  BROOD_RETURN_IF_ERROR(FillRandom(random.data(), random.size()));
  std::wstring name = L"brood.";
  for (const uint8_t byte : random) {
    name += L"0123456789abcdef"[byte >> 4];
    name += L"0123456789abcdef"[byte & 15];
  }
  PSID sid = nullptr;
  const HRESULT result = derive(name.c_str(), &sid);
  // The lower half of such an HRESULT is the code of Windows.
  if (FAILED(result) || sid == nullptr) return WindowsStatus(HRESULT_CODE(result), "DeriveAppContainerSidFromAppContainerName");
  return AppContainer(sid);
}

absl::Status AppContainer::AddTo(LPPROC_THREAD_ATTRIBUTE_LIST list) {
  if (UpdateProcThreadAttribute(list, 0, kSecurityCapabilities, &capabilities_, sizeof(capabilities_), nullptr, nullptr)) {
    return absl::OkStatus();
  }
  return LastErrorStatus("UpdateProcThreadAttribute", "AppContainer");
}

absl::Status AppContainer::Check(int process) const {
  HANDLE opened = nullptr;
  if (!OpenProcessToken(HandleOf(process), TOKEN_QUERY, &opened)) return NotSo(LastErrorStatus("OpenProcessToken", "of the child"));
  const UniqueFd token = Own(opened);
  DWORD inside = 0;
  DWORD size = 0;
  if (!GetTokenInformation(opened, TokenIsAppContainer, &inside, sizeof(inside), &size)) {
    return NotSo(LastErrorStatus("GetTokenInformation", "AppContainer"));
  }
  if (inside == 0) return absl::FailedPreconditionError("AppContainer: it was set and the child's token is in none");
  std::vector<char> buffer(sizeof(TOKEN_APPCONTAINER_INFORMATION) + SECURITY_MAX_SID_SIZE);
  if (!GetTokenInformation(opened, TokenAppContainerSid, buffer.data(), static_cast<DWORD>(buffer.size()), &size)) {
    return NotSo(LastErrorStatus("GetTokenInformation", "the AppContainer's id"));
  }
  const PSID found = reinterpret_cast<const TOKEN_APPCONTAINER_INFORMATION*>(buffer.data())->TokenAppContainer;
  if (found == nullptr || !EqualSid(found, sid_)) return absl::FailedPreconditionError("AppContainer: the child's token is in another one");
  return absl::OkStatus();
}

TokenLimits TokenInContainer(TokenLimits token) {
  token.low_integrity = false;
  return token;
}

absl::Status ProbeAppContainer(const TokenLimits& token) {
  absl::StatusOr<AppContainer> container = AppContainer::Create();
  if (!container.ok()) return NotSo(container.status());
  UniqueFd restricted;
  if (TokenInContainer(token).any()) {
    absl::StatusOr<UniqueFd> made = MakeToken(TokenInContainer(token));
    if (!made.ok()) return NotSo(made.status());
    restricted = *std::move(made);
  }
  SIZE_T size = 0;
  InitializeProcThreadAttributeList(nullptr, 1, 0, &size);
  std::vector<char> memory(size);
  auto* const list = reinterpret_cast<LPPROC_THREAD_ATTRIBUTE_LIST>(memory.data());
  if (!InitializeProcThreadAttributeList(list, 1, 0, &size)) return NotSo(LastErrorStatus("InitializeProcThreadAttributeList"));
  const absl::Status added = container->AddTo(list);
  absl::Status born = added.ok() ? BirthIn(*container, list, restricted, token) : NotSo(added);
  DeleteProcThreadAttributeList(list);
  return born;
}

}  // namespace brood
