#include "ipc/pipe_address.h"

#include <aclapi.h>
#include <sddl.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/status.h"
#include "base/unique_fd.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "base/windows_text.h"

namespace brood::internal {
namespace {

constexpr std::string_view kPrefix = "\\\\.\\pipe\\";
constexpr size_t kLongest = 256;  // Of the whole name. CreateNamedPipe, "lpName".

// A SID, in memory of its own.
absl::StatusOr<std::vector<char>> OwnUser() {
  HANDLE handle = nullptr;
  if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &handle)) return LastErrorStatus("OpenProcessToken");
  const UniqueFd token = Own(handle);
  DWORD size = 0;
  GetTokenInformation(HandleOf(token.get()), TokenUser, nullptr, 0, &size);
  std::vector<char> user(size);
  if (!GetTokenInformation(HandleOf(token.get()), TokenUser, user.data(), size, &size)) {
    return LastErrorStatus("GetTokenInformation", "the user");
  }
  const PSID sid = reinterpret_cast<const TOKEN_USER*>(user.data())->User.Sid;
  const auto* const begin = static_cast<const char*>(sid);
  return std::vector<char>(begin, begin + GetLengthSid(sid));
}

absl::StatusOr<std::string> TextOf(const std::vector<char>& user) {
  wchar_t* text = nullptr;
  if (!ConvertSidToStringSidW(const_cast<char*>(user.data()), &text)) return LastErrorStatus("ConvertSidToStringSid");
  const std::string result = ToUtf8(text);
  LocalFree(text);
  return result;
}

}  // namespace

absl::StatusOr<std::wstring> ToPipeName(const Address& address) {
  const std::string shown = absl::CHexEscape(address.name);
  if (address.family != Address::Family::kPipe) {
    if (address.family > Address::Family::kPipe) {
      return absl::InvalidArgumentError(absl::StrCat("address: there is no family ", static_cast<int>(address.family)));
    }
    return absl::InvalidArgumentError(
        absl::StrCat(address.ToString(), ": Windows has pipes only; use Address::Pipe, or Address::Local on any system"));
  }
  if (!absl::StartsWithIgnoreCase(address.name, kPrefix)) {
    return absl::InvalidArgumentError(absl::StrCat("pipe: \"", shown, "\" does not begin with \\\\.\\pipe\\, as the pipes of this machine do"));
  }
  if (address.name.size() == kPrefix.size()) return absl::InvalidArgumentError("pipe: there is no name after \\\\.\\pipe\\");
  if (address.name.find('\\', kPrefix.size()) != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("pipe: \"", shown, "\" has a backslash in its name"));
  }
  BROOD_ASSIGN_OR_RETURN(std::wstring wide, ToWide(address.name, "pipe: name"));
  if (wide.size() <= kLongest) return wide;
  return absl::InvalidArgumentError(
      absl::StrCat("pipe: a name of ", wide.size(), " characters, at most ", kLongest, " are possible; use a shorter one"));
}

absl::StatusOr<std::string> NewPipeName() {
  uint64_t random[2] = {};
  BROOD_RETURN_IF_ERROR(FillRandom(random, sizeof(random)));
  return absl::StrCat(kPrefix, "brood-", GetCurrentProcessId(), "-", absl::Hex(random[0]), absl::Hex(random[1]));
}

absl::StatusOr<PipeSecurity> PipeSecurity::For(PeerUser users) {
  BROOD_ASSIGN_OR_RETURN(const std::vector<char> user, OwnUser());
  BROOD_ASSIGN_OR_RETURN(const std::string own, TextOf(user));
  // The owner, and a protected list: all for the owner, and for everybody (WD) what a dialer needs.
  const std::string others =
      users == PeerUser::kAny ? absl::StrCat("(A;;0x", absl::Hex(kDialerAccess), ";;;WD)") : std::string();
  BROOD_ASSIGN_OR_RETURN(const std::wstring text, ToWide(absl::StrCat("O:", own, "D:P(A;;GA;;;", own, ")", others), "pipe"));
  PipeSecurity security;
  PSECURITY_DESCRIPTOR descriptor = nullptr;
  if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(text.c_str(), SDDL_REVISION_1, &descriptor, nullptr)) {
    return LastErrorStatus("ConvertStringSecurityDescriptorToSecurityDescriptor", "for a pipe");
  }
  security.descriptor_.reset(descriptor);
  security.attributes_ = {.nLength = sizeof(SECURITY_ATTRIBUTES), .lpSecurityDescriptor = descriptor, .bInheritHandle = FALSE};
  return security;
}

absl::Status CheckPipeIsOwn(int pipe) {
  BROOD_ASSIGN_OR_RETURN(std::vector<char> own, OwnUser());
  PSID owner = nullptr;
  PSECURITY_DESCRIPTOR descriptor = nullptr;
  const DWORD error = GetSecurityInfo(HandleOf(pipe), SE_KERNEL_OBJECT, OWNER_SECURITY_INFORMATION, &owner, nullptr, nullptr,
                                      nullptr, &descriptor);
  if (error != ERROR_SUCCESS) return WindowsStatus(error, "GetSecurityInfo", "whose the pipe is");
  const bool is_own = owner != nullptr && EqualSid(owner, own.data());
  LocalFree(descriptor);
  if (is_own) return absl::OkStatus();
  return absl::PermissionDeniedError("the pipe is another user's; ask for PeerUser::kAny if it may be");
}

}  // namespace brood::internal
