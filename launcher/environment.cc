#include "launcher/environment.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "sandbox/made_files.h"

extern char** environ;

namespace brood {
namespace {

// A path that malloc(3) made; "" if it is null.
std::string Take(char* path) {
  const std::string text = path != nullptr ? path : "";
  free(path);
  return text;
}

// Whether a rule shows what is at `path`, which has no . or .. in it. The nearest rule above a path is the one that counts.
bool Shows(const Policy& policy, const std::string& path) {
  const FileRule* nearest = nullptr;
  for (const FileRule& rule : policy.files) {
    const std::string& place = rule.destination;
    const bool above = absl::StartsWith(path, place) &&
                       (path.size() == place.size() || absl::EndsWith(place, "/") || path[place.size()] == '/');
    if (above && (nearest == nullptr || place.size() > nearest->destination.size())) nearest = &rule;
  }
  return nearest != nullptr && (ShowsHost(*nearest) || nearest->destination == path);
}

constexpr char kPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace

absl::StatusOr<std::vector<std::string>> MakeEnvironment(EnvironmentBase base, const std::vector<std::string>& changes) {
  std::map<std::string, std::string> variables;
  if (base == EnvironmentBase::kInherit) {
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
      const std::pair<std::string, std::string> parts = absl::StrSplit(*entry, absl::MaxSplits('=', 1));
      variables.emplace(parts.first, parts.second);
    }
  } else if (base == EnvironmentBase::kMinimal) {
    variables = {{"PATH", kPath}, {"HOME", "/tmp"}};
    const char* lang = getenv("LANG");
    variables["LANG"] = lang != nullptr ? lang : "C.UTF-8";
    if (const char* term = getenv("TERM")) variables["TERM"] = term;
  }
  for (const std::string& change : changes) {
    const size_t equals = change.find('=');
    const std::string name = change.substr(0, equals);
    if (name.empty() || change.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("environment: \"", change, "\" is neither NAME=VALUE nor NAME"));
    }
    if (equals != std::string::npos) {
      variables[name] = change.substr(equals + 1);
    } else if (const char* value = getenv(name.c_str())) {
      variables[name] = value;
    }
  }
  std::vector<std::string> environment;
  for (const auto& [name, value] : variables) environment.push_back(absl::StrCat(name, "=", value));
  return environment;
}

std::vector<std::string> ProgramCandidates(const std::string& program, const std::vector<std::string>& environment) {
  if (program.find('/') != std::string::npos) return {program};
  std::string path = kPath;
  for (const std::string& entry : environment) {
    if (absl::StartsWith(entry, "PATH=")) path = entry.substr(5);
  }
  std::vector<std::string> candidates;
  for (std::string_view directory : absl::StrSplit(path, ':')) {
    // An empty entry stands for the current directory. execvp(3).
    candidates.push_back(directory.empty() ? absl::StrCat("./", program) : absl::StrCat(directory, "/", program));
  }
  return candidates;
}

absl::StatusOr<std::string> ChildDirectory(const std::string& asked, const Policy& policy) {
  if (!asked.empty() && asked[0] == '/') return asked;
  const std::string real = Take(getcwd(nullptr, 0));
  const int error = errno;
  if (real.empty() && asked.empty()) return "/";
  if (real.empty()) return absl::FailedPreconditionError(absl::StrCat("cwd ", asked, ": the current directory: ", ErrnoText(error)));
  std::string path;
  // The second is the shell's name for it, $PWD, by which a rule may show it too. get_current_dir_name(3).
  for (const std::string& own : {real, Take(get_current_dir_name())}) {
    const std::string full = asked.empty() ? own : (std::filesystem::path(own) / asked).lexically_normal().string();
    if (path.empty() || (!Shows(policy, path) && Shows(policy, full))) path = full;
  }
  return path;
}

}  // namespace brood
