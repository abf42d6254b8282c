#include "bootstrap/plugin.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "bootstrap/error_report.h"
#include "bootstrap/plugin_entries.h"
#include "bootstrap/throw_site.h"

namespace brood {
namespace internal {
namespace {

const char* g_loading = nullptr;

absl::StatusOr<std::string> Locate(const std::string& path, const std::vector<std::string>& folders) {
  if (path.find('/') != std::string::npos) return path;
  for (const std::string& folder : folders) {
    std::string candidate = absl::StrCat(folder, "/", path);
    if (access(candidate.c_str(), F_OK) == 0) return candidate;
  }
  return absl::NotFoundError(absl::StrCat(
      "plugin ", path, ": ",
      folders.empty() ? "no folders are given to look for it in (plugin_path)" : absl::StrCat("not in ", absl::StrJoin(folders, ":")),
      "; a path to it has a slash: ./", path));
}

absl::StatusOr<void*> Load(const std::string& path) {
  // The loader's own words for this do not tell a file that is missing from one that a library of its needs.
  struct stat about = {};
  if (stat(path.c_str(), &about) != 0) return ErrnoStatus(errno, "open plugin", path);
  // The loader would wait for whoever writes into a FIFO.
  if (!S_ISREG(about.st_mode)) return absl::FailedPreconditionError(absl::StrCat("plugin ", path, ": is no regular file"));
  void* library = nullptr;
  ThrowSite site;
  g_loading = path.c_str();
  try {
    Watch([&] { library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); }, &site);
  } catch (...) {
    // The loader's lock stays held: nothing can be loaded into this process any more, which ends soon.
    g_loading = nullptr;
    const ResultError error = CurrentException(site);
    return absl::UnknownError(
        absl::StrCat("plugin ", path, ": a static initialiser threw ", error.type, ": ", error.status.message()));
  }
  g_loading = nullptr;
  if (library != nullptr) return library;
  const char* const reason = dlerror();
  std::string text = reason != nullptr ? reason : "cannot be loaded";
  if (text.rfind(path + ": ", 0) == 0) text.erase(0, path.size() + 2);
  return absl::FailedPreconditionError(absl::StrCat("plugin ", path, ": ", text));
}

// The entry is a variable of the library that registered it.
bool IsOf(const link_map* library, const TargetEntry* entry) {
  Dl_info info = {};
  link_map* owner = nullptr;
  return dladdr1(entry, &info, reinterpret_cast<void**>(&owner), RTLD_DL_LINKMAP) != 0 && owner == library;
}

}  // namespace

const char kWhyNoTargets[] =
    "registers no targets: it has no BROOD_TARGET, or binds its own copy of brood (-Bsymbolic, a version script), or this "
    "program exports none (//bootstrap:plugin_host)";

const char* PluginBeingLoaded() { return g_loading; }

absl::StatusOr<std::vector<const TargetEntry*>> LoadPlugin(const std::string& path,
                                                           const std::vector<std::string>& folders) {
  BROOD_ASSIGN_OR_RETURN(const std::string place, Locate(path, folders));
  BROOD_ASSIGN_OR_RETURN(void* const library, Load(place));
  link_map* map = nullptr;
  if (dlinfo(library, RTLD_DI_LINKMAP, &map) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("plugin ", place, ": ", dlerror()));
  }
  std::vector<const TargetEntry*> entries;
  for (const TargetEntry* entry = NewestTarget(); entry != nullptr; entry = entry->next) {
    if (!IsOf(map, entry)) continue;
    BROOD_RETURN_IF_ERROR(CheckPluginAbi(place, entry));
    entry->is_plugins = true;
    entries.push_back(entry);
  }
  return entries;
}

}  // namespace internal

std::optional<PluginTarget> SplitPluginTarget(std::string_view target) {
  constexpr std::string_view kSuffix = ".so";
  for (size_t at = target.rfind(kSuffix); at != std::string_view::npos && at > 0; at = target.rfind(kSuffix, at - 1)) {
    const size_t end = target.find_first_not_of("0123456789.", at + kSuffix.size());
    if (end == std::string_view::npos) return PluginTarget{.path = std::string(target), .name = ""};
    if (target[end] != ':') continue;
    return PluginTarget{.path = std::string(target.substr(0, end)), .name = std::string(target.substr(end + 1))};
  }
  return std::nullopt;
}

const char kPluginSuffix[] = ".so";

}  // namespace brood
