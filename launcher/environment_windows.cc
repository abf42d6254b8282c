#include "launcher/environment_windows.h"

#include <windows.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_path.h"
#include "base/windows_text.h"

namespace brood::internal {
namespace {

constexpr const wchar_t* kMinimal[] = {L"COMSPEC", L"PATH", L"PATHEXT", L"SYSTEMDRIVE", L"SYSTEMROOT", L"TEMP", L"TMP", L"WINDIR"};

std::optional<std::wstring> Own(const std::wstring& name) {
  std::wstring value(256, L'\0');
  for (;;) {
    SetLastError(ERROR_SUCCESS);
    const DWORD size = GetEnvironmentVariableW(name.c_str(), value.data(), static_cast<DWORD>(value.size()));
    if (size == 0 && GetLastError() != ERROR_SUCCESS) return std::nullopt;
    const bool fits = size < value.size();
    value.resize(size);
    if (fits) return value;
  }
}

void AddOwn(Environment& environment) {
  wchar_t* const block = GetEnvironmentStringsW();
  if (block == nullptr) return;
  for (const wchar_t* entry = block; *entry != L'\0'; entry += wcslen(entry) + 1) {
    // "=C:=C:\\folder" is the current folder of a drive, which a child of the C runtime inherits in this way.
    const std::wstring text = entry;
    const size_t equals = text.find(L'=', 1);
    if (equals != std::wstring::npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  FreeEnvironmentStringsW(block);
}

bool IsFile(const std::wstring& path) {
  const DWORD attributes = GetFileAttributesW(AnyLength(path).c_str());
  return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) == 0;
}

// `path`, or with ".exe".
std::optional<std::wstring> Existing(const std::wstring& path) {
  if (IsFile(path)) return path;
  const size_t name = path.find_last_of(L"\\/:") + 1;
  if (path.find(L'.', name) == std::wstring::npos && IsFile(path + L".exe")) return path + L".exe";
  return std::nullopt;
}

bool IsAbsolute(const std::wstring& path) {
  return path.size() >= 2 && (path[1] == L':' || ((path[0] == L'\\' || path[0] == L'/') && (path[1] == L'\\' || path[1] == L'/')));
}

}  // namespace

bool NameLess::operator()(const std::wstring& a, const std::wstring& b) const {
  return CompareStringOrdinal(a.data(), static_cast<int>(a.size()), b.data(), static_cast<int>(b.size()), TRUE) == CSTR_LESS_THAN;
}

bool IsFolder(const std::wstring& path) {
  const DWORD attributes = GetFileAttributesW(AnyLength(path).c_str());
  return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

absl::StatusOr<Environment> MakeEnvironment(EnvironmentBase base, const std::vector<std::string>& changes) {
  Environment environment;
  if (base == EnvironmentBase::kInherit) AddOwn(environment);
  if (base == EnvironmentBase::kMinimal) {
    for (const wchar_t* name : kMinimal) {
      if (std::optional<std::wstring> value = Own(name)) environment.emplace(name, *std::move(value));
    }
  }
  for (const std::string& change : changes) {
    BROOD_ASSIGN_OR_RETURN(const std::wstring wide, ToWide(change, "environment"));
    const size_t equals = wide.find(L'=');
    const std::wstring name = wide.substr(0, equals);
    if (name.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("environment: \"", change, "\" is neither NAME=VALUE nor NAME"));
    }
    // Erased first: the new one's way of writing the name counts.
    if (equals != std::wstring::npos) {
      environment.erase(name);
      environment.emplace(name, wide.substr(equals + 1));
    } else if (std::optional<std::wstring> value = Own(name)) {
      environment.erase(name);
      environment.emplace(name, *std::move(value));
    }
  }
  return environment;
}

std::wstring EnvironmentBlock(const Environment& environment) {
  std::wstring block;
  for (const auto& [name, value] : environment) {
    block += name;
    block += L'=';
    block += value;
    block += L'\0';
  }
  if (block.empty()) block += L'\0';
  block += L'\0';
  return block;
}

absl::StatusOr<std::wstring> FindProgram(const std::string& program, const Environment& environment,
                                         const std::wstring& directory) {
  BROOD_ASSIGN_OR_RETURN(const std::wstring name, ToWide(program, "argv[0]"));
  if (name.find_first_of(L"\\/:") != std::wstring::npos) {
    const std::wstring path = directory.empty() || IsAbsolute(name) ? name : directory + L'\\' + name;
    if (std::optional<std::wstring> found = Existing(path)) return *found;
    // As CreateProcess says of it.
    if (IsFolder(path)) return WindowsStatus(ERROR_ACCESS_DENIED, "exec", program, "it is a folder");
    return WindowsStatus(ERROR_FILE_NOT_FOUND, "exec", program);
  }
  const auto path = environment.find(L"PATH");
  std::wstring folders = path != environment.end() ? path->second : L"";
  for (size_t begin = 0; begin < folders.size();) {
    const size_t end = std::min(folders.find(L';', begin), folders.size());
    const std::wstring folder = folders.substr(begin, end - begin);
    begin = end + 1;
    if (folder.empty()) continue;
    if (std::optional<std::wstring> found = Existing(folder + L'\\' + name)) return *found;
  }
  return WindowsStatus(ERROR_FILE_NOT_FOUND, "exec", program, "it is in no folder of the child's PATH");
}

}  // namespace brood::internal
