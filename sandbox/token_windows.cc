#include "sandbox/token_windows.h"

#include <windows.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"

namespace brood {
namespace {

constexpr DWORD kLow = SECURITY_MANDATORY_LOW_RID;

// S-1-16-4096. Well-known SID structures, "Mandatory integrity levels".
absl::StatusOr<std::vector<char>> LowIntegritySid() {
  std::vector<char> sid(SECURITY_MAX_SID_SIZE);
  DWORD size = static_cast<DWORD>(sid.size());
  if (!CreateWellKnownSid(WinLowLabelSid, nullptr, sid.data(), &size)) return LastErrorStatus("CreateWellKnownSid", "low integrity");
  return sid;
}

absl::StatusOr<std::vector<char>> AdministratorsSid() {
  std::vector<char> sid(SECURITY_MAX_SID_SIZE);
  DWORD size = static_cast<DWORD>(sid.size());
  if (!CreateWellKnownSid(WinBuiltinAdministratorsSid, nullptr, sid.data(), &size)) {
    return LastErrorStatus("CreateWellKnownSid", "administrators");
  }
  return sid;
}

absl::StatusOr<std::vector<char>> InformationOf(int token, TOKEN_INFORMATION_CLASS kind) {
  DWORD size = 0;
  GetTokenInformation(HandleOf(token), kind, nullptr, 0, &size);
  std::vector<char> information(size);
  if (size == 0 || !GetTokenInformation(HandleOf(token), kind, information.data(), size, &size)) return LastErrorStatus("GetTokenInformation");
  return information;
}

absl::Status NotSo(std::string_view what) { return absl::FailedPreconditionError(what); }

absl::Status CheckPrivileges(int token) {
  const absl::StatusOr<std::vector<char>> information = InformationOf(token, TokenPrivileges);
  if (!information.ok()) return NotSo(information.status().message());
  const auto* privileges = reinterpret_cast<const TOKEN_PRIVILEGES*>(information->data());
  LUID notify = {};
  if (!LookupPrivilegeValueW(nullptr, SE_CHANGE_NOTIFY_NAME, &notify)) return NotSo(LastErrorStatus("LookupPrivilegeValue").message());
  DWORD kept = 0;
  for (DWORD i = 0; i < privileges->PrivilegeCount; ++i) {
    const LUID& luid = privileges->Privileges[i].Luid;
    if (luid.LowPart != notify.LowPart || luid.HighPart != notify.HighPart) ++kept;
  }
  if (kept == 0) return absl::OkStatus();
  return NotSo(absl::StrCat("restricted token: its privileges were dropped and ", kept, " read back"));
}

absl::Status CheckIntegrity(int token) {
  const absl::StatusOr<std::vector<char>> information = InformationOf(token, TokenIntegrityLevel);
  if (!information.ok()) return NotSo(information.status().message());
  const auto* label = reinterpret_cast<const TOKEN_MANDATORY_LABEL*>(information->data());
  const DWORD level = *GetSidSubAuthority(label->Label.Sid, *GetSidSubAuthorityCount(label->Label.Sid) - 1);
  if (level <= kLow) return absl::OkStatus();
  return NotSo(absl::StrCat("integrity level: it was set to ", kLow, " and reads back as ", level));
}

}  // namespace

absl::StatusOr<UniqueFd> MakeToken(const TokenLimits& limits) {
  constexpr DWORD kAccess = TOKEN_DUPLICATE | TOKEN_QUERY | TOKEN_ASSIGN_PRIMARY | TOKEN_ADJUST_DEFAULT;
  HANDLE own = nullptr;
  if (!OpenProcessToken(GetCurrentProcess(), kAccess, &own)) return LastErrorStatus("OpenProcessToken");
  UniqueFd token = Own(own);
  if (limits.drops_privileges) {
    BROOD_ASSIGN_OR_RETURN(std::vector<char> administrators, AdministratorsSid());
    SID_AND_ATTRIBUTES denied = {.Sid = administrators.data(), .Attributes = 0};
    HANDLE restricted = nullptr;
    // A restricted version of one's own token may be given to a child without any privilege. CreateProcessAsUserW.
    if (!CreateRestrictedToken(HandleOf(token.get()), DISABLE_MAX_PRIVILEGE, 1, &denied, 0, nullptr, 0, nullptr, &restricted)) {
      return LastErrorStatus("CreateRestrictedToken");
    }
    token = Own(restricted);
  } else {
    HANDLE copy = nullptr;
    if (!CreateRestrictedToken(HandleOf(token.get()), 0, 0, nullptr, 0, nullptr, 0, nullptr, &copy)) {
      return LastErrorStatus("CreateRestrictedToken");
    }
    token = Own(copy);
  }
  if (limits.low_integrity) {
    BROOD_ASSIGN_OR_RETURN(std::vector<char> low, LowIntegritySid());
    TOKEN_MANDATORY_LABEL label = {};
    label.Label = {.Sid = low.data(), .Attributes = SE_GROUP_INTEGRITY};
    if (!SetTokenInformation(HandleOf(token.get()), TokenIntegrityLevel, &label,
                             static_cast<DWORD>(sizeof(label)) + GetLengthSid(low.data()))) {
      return LastErrorStatus("SetTokenInformation", "low integrity");
    }
  }
  return token;
}

LayerChecks CheckToken(int token, const TokenLimits& limits) {
  LayerChecks checks;
  if (limits.drops_privileges) checks[Layer::kCapabilities] = CheckPrivileges(token);
  if (limits.low_integrity) checks[Layer::kNoNewPrivs] = CheckIntegrity(token);
  return checks;
}

LayerChecks CheckTokenOf(int process, const TokenLimits& limits) {
  HANDLE token = nullptr;
  if (OpenProcessToken(HandleOf(process), TOKEN_QUERY, &token)) return CheckToken(Own(token).get(), limits);
  const absl::Status refused = NotSo(LastErrorStatus("OpenProcessToken", "of the child").message());
  LayerChecks checks;
  if (limits.drops_privileges) checks[Layer::kCapabilities] = refused;
  if (limits.low_integrity) checks[Layer::kNoNewPrivs] = refused;
  return checks;
}

LayerChecks ProbeToken(const TokenLimits& limits) {
  const absl::StatusOr<UniqueFd> token = MakeToken(limits);
  if (token.ok()) return CheckToken(token->get(), limits);
  LayerChecks checks;
  if (limits.drops_privileges) checks[Layer::kCapabilities] = NotSo(token.status().message());
  if (limits.low_integrity) checks[Layer::kNoNewPrivs] = NotSo(token.status().message());
  return checks;
}

}  // namespace brood
