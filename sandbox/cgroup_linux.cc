#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "sandbox/cgroup.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

std::atomic<uint64_t> g_next{0};

absl::Status WriteTo(const UniqueFd& directory, const std::string& path, const char* file, const std::string& text) {
  const int error = child::WriteFile(directory.get(), file, text.data(), text.size());
  if (error == 0) return absl::OkStatus();
  return ErrnoStatus(error, "write", absl::StrCat(path, "/", file));
}

}  // namespace

Cgroups::~Cgroups() {
  if (released_) return;
  for (const Directory& directory : directories_) rmdir(directory.path.c_str());
}

absl::Status Cgroups::Make(CgroupRecord::Role role, const std::string& parent, const std::string& name) {
  const std::string path = absl::StrCat(parent, "/", name);
  if (mkdir(path.c_str(), 0755) != 0) return ErrnoStatus(errno, "mkdir", path, ThisMachine().cgroups.why_not);
  directories_.push_back({role, path, UniqueFd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)), UniqueFd()});
  if (!directories_.back().fd.valid()) return ErrnoStatus(errno, "open", path);
  if (role != CgroupRecord::Role::kUnified) {
    directories_.back().tasks.reset(openat(directories_.back().fd.get(), "tasks", O_WRONLY | O_CLOEXEC));
    if (!directories_.back().tasks.valid()) return ErrnoStatus(errno, "open", absl::StrCat(path, "/tasks"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Cgroups> Cgroups::Create(const CgroupRequest& request) {
  const Machine::Cgroups& where = ThisMachine().cgroups;
  // The owner's pid in the name tells whose it is; the counter makes it this launch's.
  const std::string name = absl::StrCat("brood-", getpid(), "-", g_next.fetch_add(1));
  Cgroups made;
  made.limits_memory_ = request.memory_bytes.has_value();
  made.limits_processes_ = request.processes.has_value();
  made.counts_cpu_ = request.count_cpu;
  using Role = CgroupRecord::Role;
  if (!where.unified.empty()) {
    BROOD_RETURN_IF_ERROR(made.Make(Role::kUnified, where.unified, name));
    const Directory& directory = made.directories_.back();
    if (request.memory_bytes) {
      BROOD_RETURN_IF_ERROR(WriteTo(directory.fd, directory.path, "memory.max", absl::StrCat(*request.memory_bytes)));
      const absl::Status swap = WriteTo(directory.fd, directory.path, "memory.swap.max", "0");
      if (!swap.ok() && where.swap_in_use) return swap;
      // One process over the limit ends them all: half a tree helps nobody. Older kernels kill one, and we the rest.
      (void)WriteTo(directory.fd, directory.path, "memory.oom.group", "1");
    }
    // init is one of them and not one of the child's.
    if (request.processes) {
      BROOD_RETURN_IF_ERROR(WriteTo(directory.fd, directory.path, "pids.max", absl::StrCat(*request.processes + 1)));
    }
    return made;
  }
  if (request.memory_bytes) {
    BROOD_RETURN_IF_ERROR(made.Make(Role::kMemory, where.memory, name));
    const Directory& directory = made.directories_.back();
    BROOD_RETURN_IF_ERROR(
        WriteTo(directory.fd, directory.path, "memory.limit_in_bytes", absl::StrCat(*request.memory_bytes)));
    if (where.swap_limit) {
      BROOD_RETURN_IF_ERROR(
          WriteTo(directory.fd, directory.path, "memory.memsw.limit_in_bytes", absl::StrCat(*request.memory_bytes)));
    }
  }
  if (request.processes) {
    BROOD_RETURN_IF_ERROR(made.Make(Role::kProcesses, where.pids, name));
    const Directory& directory = made.directories_.back();
    BROOD_RETURN_IF_ERROR(WriteTo(directory.fd, directory.path, "pids.max", absl::StrCat(*request.processes + 1)));
  }
  if (request.count_cpu) BROOD_RETURN_IF_ERROR(made.Make(Role::kCpu, where.cpuacct, name));
  return made;
}

CgroupRecord Cgroups::Record() const {
  CgroupRecord record;
  for (const Directory& directory : directories_) {
    record.directories[record.count++] = {directory.role, directory.fd.get(), directory.tasks.get(), directory.path.c_str()};
  }
  record.limits_memory = limits_memory_;
  record.limits_processes = limits_processes_;
  record.counts_cpu = counts_cpu_;
  return record;
}

}  // namespace brood
