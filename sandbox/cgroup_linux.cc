#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_search.h"
#include "sandbox/io_devices.h"
#include "sandbox/machine.h"

namespace brood {
namespace {

constexpr std::string_view kPrefix = "brood-child-";
constexpr int kPatienceMs = 1000;
constexpr int kAttempts = 100;

std::atomic<uint64_t> g_next{0};

// What processes left that were killed together with all that would have cleaned up after them.
void Sweep(const std::string& parent) {
  if (parent.empty()) return;
  DIR* directory = opendir(parent.c_str());
  if (directory == nullptr) return;
  std::vector<std::string> found;
  while (const dirent* entry = readdir(directory)) {
    if (absl::StartsWith(entry->d_name, kPrefix)) found.push_back(absl::StrCat(parent, "/", entry->d_name));
  }
  closedir(directory);
  for (const std::string& path : found) RemoveAbandonedCgroup(path);
}

void SweepOnce(const Machine::Cgroups& where) {
  static const bool swept = [&] {
    for (const std::string* parent : {&where.unified, &where.memory, &where.pids, &where.cpuacct, &where.cpu, &where.blkio, &where.cpuset}) Sweep(*parent);
    return true;
  }();
  (void)swept;
}

absl::Status WriteTo(const UniqueFd& directory, const std::string& path, const char* file, const std::string& text) {
  const int error = child::WriteFile(directory.get(), file, text.data(), text.size());
  if (error == 0) return absl::OkStatus();
  return ErrnoStatus(error, "write", absl::StrCat(path, "/", file));
}

absl::Status SetLimit(const UniqueFd& directory, const std::string& path, const char* file, uint64_t value, bool read_back) {
  BROOD_RETURN_IF_ERROR(WriteTo(directory, path, file, absl::StrCat(value)));
  return read_back ? ReadBackLimit(directory.get(), path, file, value) : absl::OkStatus();
}

constexpr uint64_t kPeriodUs = 100'000;  // In which a quota of CPU time is had, as by default.

bool HasShares(const CgroupRequest& request) {
  return request.cpus_milli || request.cpu_weight || request.io_weight || request.io_rate_bytes || !request.cpu_set.empty();
}

// Groups below have a controller once the one above hands it down. That is done for who asks for it only: each makes the
// kernel keep accounts for all groups here.
absl::Status HandDown(const CgroupRequest& request, const std::string& parent) {
  std::vector<std::string> wanted;
  if (request.cpus_milli || request.cpu_weight) wanted.emplace_back("cpu");
  if (request.io_weight || request.io_rate_bytes) wanted.emplace_back("io");
  if (!request.cpu_set.empty()) wanted.emplace_back("cpuset");
  int error = 0;
  EnableControllers(parent, &error, wanted);
  if (error == 0) return absl::OkStatus();
  return ErrnoStatus(error, "write", absl::StrCat(parent, "/cgroup.subtree_control"), "see docs/cgroups.md");
}

absl::Status WriteIoWeight(const UniqueFd& directory, const std::string& path, uint64_t weight) {
  const IoWeightFile file = FindIoWeight(ThisMachine().cgroups);
  if (file.name.empty()) return absl::FailedPreconditionError(absl::StrCat(path, ": the kernel has no weights of I/O any more"));
  return WriteTo(directory, path, file.name.c_str(), absl::StrCat(std::min(weight, file.most)));
}

// Of a sandbox that is kept, the groups of its children: spare_cgroups.h. Nothing below it has an owner of its own.
void RemoveGroupsBelow(const std::string& path) {
  std::error_code ignored;
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(path, ignored)) {
    if (entry.is_directory(ignored)) found.push_back(entry.path().string());
  }
  for (const std::string& group : found) RemoveAbandonedCgroup(group);
}

}  // namespace

absl::Status WriteUnifiedLimits(const UniqueFd& directory, const std::string& path, const CgroupRequest& request) {
  if (request.memory_bytes) {
    BROOD_RETURN_IF_ERROR(SetLimit(directory, path, "memory.max", *request.memory_bytes, request.read_back));
    const absl::Status swap = WriteTo(directory, path, "memory.swap.max", "0");
    if (!swap.ok() && ThisMachine().cgroups.swap_in_use) return swap;
    if (swap.ok() && request.read_back) BROOD_RETURN_IF_ERROR(ReadBackLimit(directory.get(), path, "memory.swap.max", 0));
    // One process over the limit ends them all: half a tree helps nobody. Older kernels kill one, and we the rest.
    (void)WriteTo(directory, path, "memory.oom.group", "1");
  }
  return request.processes ? SetLimit(directory, path, "pids.max", *request.processes, request.read_back) : absl::OkStatus();
}

absl::Status Cgroups::ShareUnified(const CgroupRequest& request) {
  const Directory& directory = directories_.back();
  const auto write = [&](const char* file, const std::string& text) { return WriteTo(directory.fd, directory.path, file, text); };
  if (request.cpus_milli) BROOD_RETURN_IF_ERROR(write("cpu.max", absl::StrCat(*request.cpus_milli * kPeriodUs / 1000, " ", kPeriodUs)));
  if (request.cpu_weight) BROOD_RETURN_IF_ERROR(SetLimit(directory.fd, directory.path, "cpu.weight", *request.cpu_weight, request.read_back));
  if (!request.cpu_set.empty()) BROOD_RETURN_IF_ERROR(write("cpuset.cpus", request.cpu_set));
  if (request.io_weight) BROOD_RETURN_IF_ERROR(WriteIoWeight(directory.fd, directory.path, *request.io_weight));
  if (!request.io_rate_bytes) return absl::OkStatus();
  for (const std::string& device : IoDevices()) {
    BROOD_RETURN_IF_ERROR(write("io.max", absl::StrCat(device, " rbps=", *request.io_rate_bytes, " wbps=", *request.io_rate_bytes)));
  }
  return absl::OkStatus();
}

absl::Status Cgroups::ShareVersion1(const CgroupRequest& request, const std::string& name) {
  const Machine::Cgroups& where = ThisMachine().cgroups;
  if (request.cpus_milli || request.cpu_weight) {
    // Where both controllers are mounted together, there is one group.
    const bool together = request.count_cpu && where.cpu == where.cpuacct;
    if (!together) BROOD_RETURN_IF_ERROR(Make(CgroupRecord::Role::kCpuShare, where.cpu, name));
    const Directory& directory = directories_.back();
    const auto write = [&](const char* file, uint64_t value) { return SetLimit(directory.fd, directory.path, file, value, request.read_back); };
    if (request.cpus_milli) {
      BROOD_RETURN_IF_ERROR(write("cpu.cfs_period_us", kPeriodUs));
      BROOD_RETURN_IF_ERROR(write("cpu.cfs_quota_us", *request.cpus_milli * kPeriodUs / 1000));
    }
    // 1024 is what 100 is with version 2, and 2 the least.
    if (request.cpu_weight) BROOD_RETURN_IF_ERROR(write("cpu.shares", std::max<uint64_t>(*request.cpu_weight * 1024 / 100, 2)));
  }
  if (!request.cpu_set.empty()) {
    BROOD_RETURN_IF_ERROR(Make(CgroupRecord::Role::kCpuSet, where.cpuset, name));
    const Directory& directory = directories_.back();
    // A new group has none of either, and takes no process until it has some. cpuset(7), "ERRORS", ENOSPC
    const std::string memory = absl::StrJoin(CgroupWords(absl::StrCat(where.cpuset, "/cpuset.mems")), " ");
    BROOD_RETURN_IF_ERROR(WriteTo(directory.fd, directory.path, "cpuset.mems", memory));
    BROOD_RETURN_IF_ERROR(WriteTo(directory.fd, directory.path, "cpuset.cpus", request.cpu_set));
  }
  if (!request.io_weight && !request.io_rate_bytes) return absl::OkStatus();
  BROOD_RETURN_IF_ERROR(Make(CgroupRecord::Role::kIo, where.blkio, name));
  const Directory& directory = directories_.back();
  if (request.io_weight) BROOD_RETURN_IF_ERROR(WriteIoWeight(directory.fd, directory.path, *request.io_weight));
  if (!request.io_rate_bytes) return absl::OkStatus();
  for (const std::string& device : IoDevices()) {
    for (const char* file : {"blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"}) {
      BROOD_RETURN_IF_ERROR(WriteTo(directory.fd, directory.path, file, absl::StrCat(device, " ", *request.io_rate_bytes)));
    }
  }
  return absl::OkStatus();
}

Cgroups::~Cgroups() {
  if (released_) return;
  for (const Directory& directory : directories_) rmdir(directory.path.c_str());
}

absl::Status Cgroups::Make(CgroupRecord::Role role, const std::string& parent, const std::string& name) {
  const std::string path = absl::StrCat(parent, "/", name);
  if (mkdir(path.c_str(), 0755) != 0) return ErrnoStatus(errno, "mkdir", path, ThisMachine().cgroups.why_not);
  directories_.push_back({role, path, UniqueFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), UniqueFd()});
  const UniqueFd& fd = directories_.back().fd;
  // A sweep of another process may come between; then it is gone, or will be in a moment, and the next name is tried.
  const bool taken = !fd.valid() ? errno == ENOENT || errno == ENODEV
                                 : flock(fd.get(), LOCK_EX | LOCK_NB) != 0 ||
                                       faccessat(fd.get(), "cgroup.procs", F_OK, 0) != 0;
  if (taken) return absl::AbortedError(absl::StrCat("the new cgroup ", path, " was swept away"));
  if (!fd.valid()) return ErrnoStatus(errno, "open", path);
  if (role != CgroupRecord::Role::kUnified) {
    directories_.back().tasks.reset(openat(directories_.back().fd.get(), "tasks", O_WRONLY | O_CLOEXEC));
    if (!directories_.back().tasks.valid()) return ErrnoStatus(errno, "open", absl::StrCat(path, "/tasks"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Cgroups> Cgroups::Create(const CgroupRequest& request) {
  SweepOnce(ThisMachine().cgroups);
  absl::Status last;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    // The owner's pid in the name tells people whose it is; the counter makes it this launch's. A name may be there
    // already: of an owner in another pid namespace, or a dead one's that could not be swept.
    absl::StatusOr<Cgroups> made = CreateNamed(request, absl::StrCat(kPrefix, getpid(), "-", g_next.fetch_add(1)));
    if (!absl::IsAlreadyExists(made.status()) && !absl::IsAborted(made.status())) return made;
    last = made.status();
  }
  return last;
}

absl::StatusOr<Cgroups> Cgroups::CreateNamed(const CgroupRequest& request, const std::string& name) {
  const Machine::Cgroups& where = ThisMachine().cgroups;
  Cgroups made;
  made.limits_memory_ = request.memory_bytes.has_value();
  made.limits_processes_ = request.processes.has_value();
  made.counts_cpu_ = request.count_cpu;
  using Role = CgroupRecord::Role;
  if (!where.unified.empty()) {
    if (HasShares(request)) BROOD_RETURN_IF_ERROR(HandDown(request, where.unified));
    BROOD_RETURN_IF_ERROR(made.Make(Role::kUnified, where.unified, name));
    const Directory& directory = made.directories_.back();
    // init is one of them and not one of the child's.
    CgroupRequest limits = request;
    if (limits.processes) ++*limits.processes;
    BROOD_RETURN_IF_ERROR(WriteUnifiedLimits(directory.fd, directory.path, limits));
    if (HasShares(request)) BROOD_RETURN_IF_ERROR(made.ShareUnified(request));
    return made;
  }
  if (request.memory_bytes) {
    BROOD_RETURN_IF_ERROR(made.Make(Role::kMemory, where.memory, name));
    const Directory& directory = made.directories_.back();
    BROOD_RETURN_IF_ERROR(
        SetLimit(directory.fd, directory.path, "memory.limit_in_bytes", *request.memory_bytes, request.read_back));
    if (where.swap_limit) {
      BROOD_RETURN_IF_ERROR(
          SetLimit(directory.fd, directory.path, "memory.memsw.limit_in_bytes", *request.memory_bytes, request.read_back));
    }
  }
  if (request.processes) {
    BROOD_RETURN_IF_ERROR(made.Make(Role::kProcesses, where.pids, name));
    const Directory& directory = made.directories_.back();
    BROOD_RETURN_IF_ERROR(SetLimit(directory.fd, directory.path, "pids.max", *request.processes + 1, request.read_back));
  }
  if (request.count_cpu) BROOD_RETURN_IF_ERROR(made.Make(Role::kCpu, where.cpuacct, name));
  if (HasShares(request)) BROOD_RETURN_IF_ERROR(made.ShareVersion1(request, name));
  return made;
}

absl::Status ReadBackLimit(int directory, const std::string& path, const char* file, uint64_t expected) {
  char text[64] = {};
  if (child::ReadFile(directory, file, text, sizeof(text)) <= 0) return ErrnoStatus(errno, "read_back", absl::StrCat(path, "/", file));
  // What is not limited: a word with version 2, all the pages that can be counted with version 1. mm/page_counter.c
  constexpr uint64_t kNoLimit = uint64_t{1} << 63;
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const bool memory = absl::StartsWith(file, "memory.");
  const uint64_t wanted = memory ? expected / page * page : expected;
  const uint64_t seen = absl::StartsWith(text, "max") ? kNoLimit : child::ParseNumber(text);
  if (seen == wanted || (memory && seen >= kNoLimit - page && wanted >= kNoLimit - page)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("read_back: ", path, "/", file, ": expected ", wanted, ", seen ", absl::StripAsciiWhitespace(text)));
}

std::vector<std::string> Cgroups::Release() {
  released_ = true;
  std::vector<std::string> paths;
  for (const Directory& directory : directories_) paths.push_back(directory.path);
  return paths;
}

bool RemoveAbandonedCgroup(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return errno == ENOENT;
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return false;
  CgroupRecord record;
  // Tries cgroup.kill first, which version 1 lacks.
  record.directories[record.count++] = {CgroupRecord::Role::kUnified, fd.get(), -1, path.c_str()};
  for (int waited = 0; !child::CgroupsEmpty(record) && waited < kPatienceMs; ++waited) {
    child::KillCgroups(record);
    poll(nullptr, 0, 1);
  }
  RemoveGroupsBelow(path);
  return child::RemoveCgroups(record, kPatienceMs);
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
