#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "sandbox/spare_cgroups.h"

namespace brood {
namespace {

constexpr int kPatienceMs = 100;
constexpr std::string_view kRemedy = "see docs/cgroups.md";

absl::Status WriteTo(const std::string& path, const std::string& text) {
  const int error = child::WriteFile(AT_FDCWD, path.c_str(), text.data(), text.size());
  return error == 0 ? absl::OkStatus() : ErrnoStatus(error, "write", path, kRemedy);
}

// Who bears a child into a group must be able to write to cgroup.procs of both, and of what is above its own and that. cgroups(7),
// "Delegation containment". The files of the limits stay ours.
absl::Status GiveMembers(const std::string& path, uid_t owner) {
  const std::string members = path + "/cgroup.procs";
  return chown(members.c_str(), owner, static_cast<gid_t>(-1)) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "chown", members);
}

UniqueFd Open(const UniqueFd& directory, const char* file) { return UniqueFd(openat(directory.get(), file, O_RDONLY | O_CLOEXEC)); }

}  // namespace

absl::Status SpareCgroups::Begin(const Cgroups& above, const CgroupRequest& request, const std::vector<pid_t>& inside, uid_t owner) {
  above_ = above.Record().directories[0].path;
  request_ = request;
  owner_ = owner;
  const std::string keeper = above_ + "/brood-child-keeper";
  BROOD_RETURN_IF_ERROR(MakeGroup(keeper).status());
  keeper_ = keeper;
  for (const pid_t pid : inside) BROOD_RETURN_IF_ERROR(WriteTo(keeper + "/cgroup.procs", absl::StrCat(pid)));
  BROOD_RETURN_IF_ERROR(GiveMembers(above_, owner));
  // Only now, when nothing is in it: cgroups(7), "no internal processes". That of CPU time has its counters without a controller.
  const std::string controllers = above_ + "/cgroup.subtree_control";
  if (request.memory_bytes) BROOD_RETURN_IF_ERROR(WriteTo(controllers, "+memory"));
  return request.processes ? WriteTo(controllers, "+pids") : absl::OkStatus();
}

void SpareCgroups::RemoveAll() {
  for (std::string& path : made_) stale_.push_back(std::move(path));
  made_.clear();
  if (!keeper_.empty()) stale_.push_back(std::exchange(keeper_, ""));
  for (int waited = 0; waited < kPatienceMs; ++waited) {
    RemoveStale();
    if (stale_.empty()) return;
    poll(nullptr, 0, 1);  // A process that was reaped leaves its group a moment later. There is no event to wait for.
  }
}

absl::StatusOr<UniqueFd> SpareCgroups::MakeGroup(const std::string& path) const {
  if (mkdir(path.c_str(), 0755) != 0) return ErrnoStatus(errno, "mkdir", path, kRemedy);
  UniqueFd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  absl::Status given = directory.valid() ? GiveMembers(path, owner_) : ErrnoStatus(errno, "open", path);
  if (given.ok()) return directory;
  rmdir(path.c_str());
  return given;
}

absl::StatusOr<SpareCgroups::Files> SpareCgroups::Make() {
  const std::string path = absl::StrCat(above_, "/brood-child-", next_++);
  BROOD_ASSIGN_OR_RETURN(UniqueFd directory, MakeGroup(path));
  made_.push_back(path);
  BROOD_RETURN_IF_ERROR(WriteUnifiedLimits(directory, path, request_));
  Files files;
  if (request_.memory_bytes) {
    files.memory_peak = Open(directory, "memory.peak");  // Since Linux 5.19. Before, the peak is unknown.
    files.memory_events = Open(directory, "memory.events");
    if (!files.memory_events.valid()) return ErrnoStatus(errno, "open", path + "/memory.events");
  }
  if (request_.processes) {
    files.process_events = Open(directory, "pids.events");
    if (!files.process_events.valid()) return ErrnoStatus(errno, "open", path + "/pids.events");
  }
  if (request_.count_cpu) {
    files.cpu = Open(directory, "cpu.stat");
    if (!files.cpu.valid()) return ErrnoStatus(errno, "open", path + "/cpu.stat");
  }
  files.directory = std::move(directory);
  return files;
}

void SpareCgroups::RemoveOldest() {
  if (made_.empty()) return;
  stale_.push_back(std::move(made_.front()));
  made_.pop_front();
  RemoveStale();
}

void SpareCgroups::RemoveStale() {
  std::erase_if(stale_, [](const std::string& path) { return rmdir(path.c_str()) == 0 || errno == ENOENT; });
}

}  // namespace brood
