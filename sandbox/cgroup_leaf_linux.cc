#include "sandbox/cgroup_leaf.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "sandbox/cgroup_search.h"

namespace brood {
namespace {

bool Write(const std::string& path, const std::string& text) {
  return child::WriteFile(AT_FDCWD, path.c_str(), text.data(), text.size()) == 0;
}

bool IsAloneIn(const std::string& group) {
  return CgroupWords(group + "/cgroup.procs") == std::vector<std::string>{absl::StrCat(getpid())};
}

}  // namespace

CgroupLeaf::CgroupLeaf() {
  const CgroupMounts mounts = FindCgroupMounts();
  if (mounts.unified.empty()) return;
  const std::string group = CgroupDirectory(mounts.unified, OwnCgroup(""));
  // The root of the hierarchy has no type, and may hold processes.
  if (CgroupWords(group + "/cgroup.type") != std::vector<std::string>{"domain"}) return;
  if (!CgroupWritable(group) || !CgroupWritable(group + "/cgroup.procs") || !IsAloneIn(group)) return;
  const std::vector<std::string> controllers = CgroupWords(group + "/cgroup.controllers");
  const bool useful = std::any_of(controllers.begin(), controllers.end(),
                                  [](const std::string& name) { return name == "memory" || name == "pids"; });
  if (!useful) return;

  const std::string leaf = group + "/brood-caller";
  // One that is there was left by a caller that was killed.
  if (mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) return;
  group_ = group;
  leaf_ = leaf;
  int error = 0;
  if (Write(leaf + "/cgroup.procs", "0")) enabled_ = EnableControllers(group, &error);
  if (enabled_.empty()) Leave();
}

CgroupLeaf::~CgroupLeaf() { Leave(); }

void CgroupLeaf::Leave() {
  if (group_.empty()) return;
  for (const std::string& name : enabled_) Write(group_ + "/cgroup.subtree_control", "-" + name);
  Write(group_ + "/cgroup.procs", "0");
  rmdir(leaf_.c_str());
  group_.clear();
}

}  // namespace brood
