#include "bootstrap/plugin.h"

#include <windows.h>

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/windows_error.h"
#include "base/windows_path.h"
#include "base/windows_text.h"
#include "bootstrap/current_process.h"
#include "bootstrap/finalizer.h"
#include "bootstrap/log.h"
#include "bootstrap/plugin_entries.h"
#include "bootstrap/plugin_link.h"
#include "bootstrap/run_child.h"

namespace brood {
namespace internal {
namespace {

const char* g_loading = nullptr;

bool IsPath(std::string_view path) { return path.find_first_of("\\/:") != std::string_view::npos; }

// Whole, or the system would look for it in places of its own. LoadLibraryExW.
absl::StatusOr<std::wstring> Whole(const std::string& path) {
  BROOD_ASSIGN_OR_RETURN(const std::wstring wide, ToWide(path, "plugin"));
  const DWORD size = GetFullPathNameW(wide.c_str(), 0, nullptr, nullptr);
  std::wstring whole(size, L'\0');
  const DWORD written = GetFullPathNameW(wide.c_str(), size, whole.data(), nullptr);
  if (written == 0 || written >= size) return LastErrorStatus("GetFullPathName plugin", path);
  whole.resize(written);
  return whole;
}

absl::StatusOr<std::wstring> Locate(const std::string& path, const std::vector<std::string>& folders) {
  if (IsPath(path)) return Whole(path);
  for (const std::string& folder : folders) {
    BROOD_ASSIGN_OR_RETURN(std::wstring candidate, Whole(absl::StrCat(folder, "\\", path)));
    if (GetFileAttributesW(AnyLength(candidate).c_str()) != INVALID_FILE_ATTRIBUTES) return candidate;
  }
  return absl::NotFoundError(absl::StrCat(
      "plugin ", path, ": ",
      folders.empty() ? "no folders are given to look for it in (plugin_path)" : absl::StrCat("not in ", absl::StrJoin(folders, ";")),
      "; a path to it has a backslash: .\\", path));
}

absl::StatusOr<HMODULE> Load(const std::wstring& path) {
  const std::string name = ToUtf8(path);
  // LoadLibrary's own code for this does not tell a file that is missing from one that the file needs.
  const DWORD attributes = GetFileAttributesW(AnyLength(path).c_str());
  if (attributes == INVALID_FILE_ATTRIBUTES) return LastErrorStatus("open plugin", name);
  if ((attributes & FILE_ATTRIBUTE_DIRECTORY) != 0) return WindowsStatus(ERROR_ACCESS_DENIED, "open plugin", name, "it is a folder");
  // No dialog that somebody would have to answer.
  DWORD mode = 0;
  SetThreadErrorMode(SEM_FAILCRITICALERRORS | SEM_NOOPENFILEERRORBOX, &mode);
  g_loading = name.c_str();
  // What it needs lies beside it, beside the program or in the system's folder; never in the current one.
  const HMODULE library = LoadLibraryExW(AnyLength(path).c_str(), nullptr, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
  const DWORD error = GetLastError();
  g_loading = nullptr;
  SetThreadErrorMode(mode, nullptr);
  if (library != nullptr) return library;
  const std::string_view remedy = error == ERROR_MOD_NOT_FOUND ? "a DLL that it needs is neither beside it nor beside the program"
                                  : error == ERROR_BAD_EXE_FORMAT ? "it is no DLL for this processor"
                                                                  : "an initialiser of its own may have failed";
  return absl::FailedPreconditionError(WindowsStatus(error, "load plugin", name, remedy).message());
}

template <typename Function>
Function Export(HMODULE library, const char* name) {
  return reinterpret_cast<Function>(reinterpret_cast<void (*)()>(GetProcAddress(library, name)));
}

absl::Status CheckRuntime(const std::string& name, const char* runtime) {
  if (std::strcmp(runtime, kPluginRuntime) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("plugin ", name, ": built with another C runtime (", runtime, "; this is ", kPluginRuntime, "); build it again"));
}

}  // namespace

const char kWhyNoTargets[] = "registers no targets: it has no BROOD_TARGET, or was linked without //bootstrap:target";

const char* PluginBeingLoaded() { return g_loading; }

absl::StatusOr<std::vector<const TargetEntry*>> LoadPlugin(const std::string& path, const std::vector<std::string>& folders) {
  BROOD_ASSIGN_OR_RETURN(const std::wstring place, Locate(path, folders));
  BROOD_ASSIGN_OR_RETURN(const HMODULE library, Load(place));
  const auto runtime = Export<PluginRuntimeFunction>(library, kPluginRuntimeExport);
  const auto targets = Export<PluginTargetsFunction>(library, kPluginTargetsExport);
  const auto attach = Export<PluginAttachFunction>(library, kPluginAttachExport);
  std::vector<const TargetEntry*> entries;
  if (runtime == nullptr || targets == nullptr || attach == nullptr) return entries;
  const std::string name = ToUtf8(place);
  BROOD_RETURN_IF_ERROR(CheckRuntime(name, runtime()));
  for (const TargetEntry* entry = targets(); entry != nullptr; entry = entry->next) {
    BROOD_RETURN_IF_ERROR(CheckPluginAbi(name, entry));
    entries.push_back(entry);
  }
  static const auto* const link = new PluginLink{.finalizers = SharedFinalizers(),
                                                 .process_facts = SharedProcessFacts(),
                                                 .exit = RequestExit,
                                                 .log_level = static_cast<int>(CurrentLogLevel())};
  attach(link);
  return entries;
}

}  // namespace internal

std::optional<PluginTarget> SplitPluginTarget(std::string_view target) {
  const std::string lower = absl::AsciiStrToLower(target);
  // The last one that a name follows, or nothing.
  for (size_t colon = target.size();;) {
    const std::string_view path = std::string_view(lower).substr(0, colon);
    const bool named = path.find_last_of("\\/:") + 1 < path.size() - std::string_view(".dll").size();
    if (absl::EndsWith(path, ".dll") && path.size() > 4 && named) {
      return PluginTarget{.path = std::string(target.substr(0, colon)),
                          .name = std::string(colon < target.size() ? target.substr(colon + 1) : "")};
    }
    if (colon == 0) return std::nullopt;
    colon = target.rfind(':', colon - 1);
    if (colon == std::string_view::npos) return std::nullopt;
  }
}

const char kPluginSuffix[] = ".dll";

}  // namespace brood
