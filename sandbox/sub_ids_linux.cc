#include "sandbox/sub_ids.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace brood {
namespace {

struct Range {
  uint32_t first = 0;
  uint32_t count = 0;
};

// The largest of `file` for the user, who is there by name or by number.
Range LargestRange(const char* file, const std::string& name, uint32_t uid) {
  std::ifstream lines(file);
  Range largest;
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, ':');
    Range range;
    if (fields.size() != 3 || (fields[0] != name && fields[0] != absl::StrCat(uid))) continue;
    if (!absl::SimpleAtoi(fields[1], &range.first) || !absl::SimpleAtoi(fields[2], &range.count)) continue;
    if (range.count > largest.count) largest = range;
  }
  return largest;
}

std::string NameOf(uint32_t uid) {
  std::vector<char> buffer(16384);
  passwd entry = {};
  passwd* found = nullptr;
  if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) return entry.pw_name;
  return absl::StrCat(uid);
}

std::string Find(const char* program) {
  for (const char* directory : {"/usr/bin/", "/bin/", "/usr/local/bin/", "/run/wrappers/bin/"}) {
    std::string path = absl::StrCat(directory, program);
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

}  // namespace

SubIds FindSubIds(uint32_t uid) {
  SubIds ids;
  const std::string name = NameOf(uid);
  ids.uid_mapper = Find("newuidmap");
  ids.gid_mapper = Find("newgidmap");
  if (ids.uid_mapper.empty() || ids.gid_mapper.empty()) {
    ids.why = "newuidmap and newgidmap are not installed, without which only root maps further ids";
    ids.remedy = "as root: apt-get install uidmap (shadow-utils elsewhere)";
    return ids;
  }
  const Range uids = LargestRange("/etc/subuid", name, uid);
  const Range gids = LargestRange("/etc/subgid", name, uid);
  if (uids.count == 0 || gids.count == 0) {
    ids.why = absl::StrCat(uids.count == 0 ? "/etc/subuid" : "/etc/subgid", " has no line for ", name);
    ids.remedy = absl::StrCat("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ", name,
                              ", with a range that nobody has yet");
    return ids;
  }
  ids.first_uid = uids.first;
  ids.first_gid = gids.first;
  ids.count = std::min(uids.count, gids.count);
  return ids;
}

}  // namespace brood
