#include <windows.h>

#include <cerrno>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_handle.h"
#include "base/windows_path.h"
#include "base/windows_text.h"
#include "batch/files.h"

namespace brood {
namespace {

// Devices whatever follows the dot. "Naming Files, Paths, and Namespaces".
bool IsDevice(std::string_view id) {
  const std::string stem = absl::AsciiStrToLower(id.substr(0, id.find('.')));
  for (const std::string_view name : {"con", "prn", "aux", "nul"}) {
    if (stem == name) return true;
  }
  return stem.size() == 4 && (absl::StartsWith(stem, "com") || absl::StartsWith(stem, "lpt")) && absl::ascii_isdigit(stem[3]);
}

absl::Status MakeDirectory(const std::wstring& asked) {
  const std::wstring path = AnyLength(asked);
  if (CreateDirectoryW(path.c_str(), nullptr) || GetLastError() == ERROR_ALREADY_EXISTS) return absl::OkStatus();
  const DWORD error = GetLastError();
  // Access is denied to who would make the root of a drive.
  const DWORD attributes = GetFileAttributesW(path.c_str());
  if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) return absl::OkStatus();
  return WindowsStatus(error, "CreateDirectory", ToUtf8(path));
}

// Not shared for deletion: what it is cannot be changed as long as it is open.
absl::StatusOr<UniqueFd> OpenNoLink(const std::wstring& path, DWORD access, DWORD disposition, DWORD flags) {
  UniqueFd file = Own(CreateFileW(path.c_str(), access, FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr, disposition,
                                  FILE_FLAG_OPEN_REPARSE_POINT | flags, nullptr));
  if (!file.valid()) return LastErrorStatus("open", ToUtf8(path));
  BY_HANDLE_FILE_INFORMATION facts = {};
  if (!GetFileInformationByHandle(HandleOf(file.get()), &facts)) return LastErrorStatus("GetFileInformationByHandle", ToUtf8(path));
  if ((facts.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("open ", ToUtf8(path), ": it is a link to another place"));
  }
  return file;
}

absl::StatusOr<UniqueFd> OpenDirectory(const std::wstring& path) {
  BROOD_ASSIGN_OR_RETURN(UniqueFd directory, OpenNoLink(path, FILE_LIST_DIRECTORY, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS));
  BY_HANDLE_FILE_INFORMATION facts = {};
  if (!GetFileInformationByHandle(HandleOf(directory.get()), &facts)) return LastErrorStatus("GetFileInformationByHandle", ToUtf8(path));
  if ((facts.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) == 0) return WindowsStatus(ERROR_DIRECTORY, "open", ToUtf8(path));
  return directory;
}

absl::StatusOr<std::wstring> PathIn(int directory, const std::string& name) {
  std::wstring path(MAX_PATH, L'\0');
  for (;;) {
    const DWORD size = GetFinalPathNameByHandleW(HandleOf(directory), path.data(), static_cast<DWORD>(path.size()), 0);
    if (size == 0) return LastErrorStatus(absl::StrCat(name, ": GetFinalPathNameByHandle"));
    const bool fits = size < path.size();
    path.resize(size);
    if (fits) break;
  }
  BROOD_ASSIGN_OR_RETURN(const std::wstring wide, ToWide(name, "name"));
  return path + L'\\' + wide;
}

}  // namespace

// Names that differ by their case alone are one to Windows, and a dot at the end is dropped.
bool MayStandInFileName(std::string_view id, size_t i) {
  const auto c = static_cast<unsigned char>(id[i]);
  if (i == 0 && IsDevice(id)) return false;
  return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '-' || (c == '.' && i > 0 && i + 1 < id.size());
}

absl::StatusOr<UniqueFd> OpenOrMakeDirectory(const std::string& path) {
  BROOD_ASSIGN_OR_RETURN(const std::wstring wide, ToWide(path, "directory"));
  for (size_t end = wide.find_first_of(L"/\\", 1); end != std::wstring::npos; end = wide.find_first_of(L"/\\", end + 1)) {
    const std::wstring parent = wide.substr(0, end);
    if (parent.back() != L':' && parent.back() != L'\\' && parent.back() != L'/') BROOD_RETURN_IF_ERROR(MakeDirectory(parent));
  }
  BROOD_RETURN_IF_ERROR(MakeDirectory(wide));
  UniqueFd directory = Own(CreateFileW(AnyLength(wide).c_str(), FILE_LIST_DIRECTORY, FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr,
                                       OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr));
  if (!directory.valid()) return LastErrorStatus("open", path);
  return directory;
}

absl::StatusOr<UniqueFd> OpenOrMakeSubdirectory(int parent, const std::string& name) {
  BROOD_ASSIGN_OR_RETURN(const std::wstring path, PathIn(parent, name));
  BROOD_RETURN_IF_ERROR(MakeDirectory(path));
  return OpenDirectory(path);
}

absl::StatusOr<UniqueFd> OpenOutputFile(int directory, const std::string& name) {
  BROOD_ASSIGN_OR_RETURN(const std::wstring path, PathIn(directory, name));
  // Emptied only once it is known to be no link.
  BROOD_ASSIGN_OR_RETURN(UniqueFd file, OpenNoLink(path, GENERIC_WRITE, OPEN_ALWAYS, FILE_ATTRIBUTE_NORMAL));
  if (!SetEndOfFile(HandleOf(file.get()))) return LastErrorStatus("SetEndOfFile", name);
  return file;
}

}  // namespace brood
