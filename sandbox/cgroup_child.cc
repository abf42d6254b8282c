#include "sandbox/cgroup_child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/child_safe.h"

namespace brood::child {
namespace {

const CgroupRecord::Directory* Find(const CgroupRecord& record, CgroupRecord::Role role) {
  for (size_t i = 0; i < record.count; ++i) {
    const CgroupRecord::Directory& directory = record.directories[i];
    if (directory.role == role || directory.role == CgroupRecord::Role::kUnified) return &directory;
  }
  return nullptr;
}

// The number in a file of a cgroup; 0 if it is not there.
uint64_t ReadNumber(int directory, const char* file) {
  char buffer[32];
  return ReadFile(directory, file, buffer, sizeof(buffer)) > 0 ? ParseNumber(buffer) : 0;
}

// Version 1: true if the group itself ever came so near to its limit that a request could be refused. Nobody is killed for
// one of more than eight pages (mm/memcontrol.c, PAGE_ALLOC_COSTLY_ORDER). memory.failcnt would say it with less words, but
// stays 0 with some kernels (seen with 6.18).
bool ReachedLimitV1(int directory) {
  const uint64_t largest = 8 * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t memory = ReadNumber(directory, "memory.limit_in_bytes");
  const uint64_t swapped = ReadNumber(directory, "memory.memsw.limit_in_bytes");
  return (memory > 0 && ReadNumber(directory, "memory.max_usage_in_bytes") + largest >= memory) ||
         (swapped > 0 && ReadNumber(directory, "memory.memsw.max_usage_in_bytes") + largest >= swapped);
}

bool Unified(const CgroupRecord::Directory& directory) { return directory.role == CgroupRecord::Role::kUnified; }

}  // namespace

int BirthCgroup(const CgroupRecord& record) {
  for (size_t i = 0; i < record.count; ++i) {
    if (Unified(record.directories[i])) return record.directories[i].fd;
  }
  return -1;
}

int EnterCgroups(const CgroupRecord& record, pid_t pid) {
  Text<24> text;
  text.AddNumber(static_cast<uint64_t>(pid));
  for (size_t i = 0; i < record.count; ++i) {
    if (record.directories[i].tasks_fd >= 0) continue;
    const int error = WriteFile(record.directories[i].fd, "cgroup.procs", text.c_str(), text.length());
    if (error != 0) return error;
  }
  return 0;
}

int EnterOwnCgroups(const CgroupRecord& record) {
  for (size_t i = 0; i < record.count; ++i) {
    if (record.directories[i].tasks_fd >= 0 && write(record.directories[i].tasks_fd, "0", 1) != 1) return errno;
  }
  return 0;
}

bool IsInCgroups(const CgroupRecord& record) {
  char groups[8192];
  if (ReadFile(AT_FDCWD, "/proc/self/cgroup", groups, sizeof(groups)) <= 0) return false;
  // All have one name, which no other group has. A line is "4:memory:/above/NAME".
  size_t seen = 0;
  for (size_t i = 0; i < record.count; ++i) {
    const char* const slash = strrchr(record.directories[i].path, '/');
    if (slash == nullptr) return false;
    const size_t length = strlen(slash);
    size_t count = 0;
    for (const char* at = strstr(groups, slash); at != nullptr; at = strstr(at + length, slash)) {
      count += at[length] == '\n' || at[length] == '\0' ? 1 : 0;
    }
    seen = count > seen ? count : seen;
  }
  return seen >= record.count;
}

CgroupUsage ReadCgroupUsage(const CgroupRecord& record) {
  CgroupUsage usage;
  char buffer[2048];
  if (const auto* memory = Find(record, CgroupRecord::Role::kMemory); memory != nullptr && record.limits_memory) {
    // oom_kill stands in both versions: memory.oom_control (v1, since Linux 4.13) and memory.events (v2).
    if (ReadFile(memory->fd, Unified(*memory) ? "memory.events" : "memory.oom_control", buffer, sizeof(buffer)) > 0) {
      usage.oom_kills = NumberAfter(buffer, "oom_kill", 0);
      // Kills are counted where the victim was, whoever ran out of memory: a group above, or the machine. `oom` is
      // counted where the limit was. Documentation/admin-guide/cgroup-v2.rst, "memory.events".
      if (Unified(*memory) && NumberAfter(buffer, "oom", 0) == 0) usage.oom_kills = 0;
      if (!Unified(*memory) && usage.oom_kills > 0 && !ReachedLimitV1(memory->fd)) usage.oom_kills = 0;
    }
    // memory.peak is there since Linux 5.19. Before, the peak is unknown, and 0 says so.
    if (ReadFile(memory->fd, Unified(*memory) ? "memory.peak" : "memory.max_usage_in_bytes", buffer, sizeof(buffer)) > 0) {
      usage.memory_peak_bytes = ParseNumber(buffer);
    }
  }
  if (const auto* pids = Find(record, CgroupRecord::Role::kProcesses); pids != nullptr && record.limits_processes) {
    if (ReadFile(pids->fd, "pids.events", buffer, sizeof(buffer)) > 0) {
      usage.process_refusals = NumberAfter(buffer, "max", 0);
    }
  }
  if (const auto* cpu = Find(record, CgroupRecord::Role::kCpu); cpu != nullptr && record.counts_cpu) {
    if (Unified(*cpu)) {
      if (ReadFile(cpu->fd, "cpu.stat", buffer, sizeof(buffer)) > 0) {
        usage.cpu_ns = NumberAfter(buffer, "usage_usec", 0) * 1000;
      }
    } else if (ReadFile(cpu->fd, "cpuacct.usage", buffer, sizeof(buffer)) > 0) {
      usage.cpu_ns = ParseNumber(buffer);
    }
  }
  return usage;
}

void KillCgroups(const CgroupRecord& record) {
  for (size_t i = 0; i < record.count; ++i) {
    const CgroupRecord::Directory& directory = record.directories[i];
    if (Unified(directory) && WriteFile(directory.fd, "cgroup.kill", "1", 1) == 0) continue;
    char buffer[16384];
    if (ReadFile(directory.fd, "cgroup.procs", buffer, sizeof(buffer)) <= 0) continue;
    for (const char* at = buffer; *at != '\0';) {
      const pid_t pid = static_cast<pid_t>(ParseNumber(at));
      if (pid > 0) {
        // A pid that was read may be somebody else's by now. What the pidfd is bound to cannot change, so membership
        // is looked at once more through it before the signal goes out. pidfd_open(2).
        const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
        if (fd >= 0) {
          char again[16384];
          Text<24> line;
          line.AddNumber(static_cast<uint64_t>(pid)).Add("\n");
          const long length = ReadFile(directory.fd, "cgroup.procs", again, sizeof(again));
          const char* found = length > 0 ? strstr(again, line.c_str()) : nullptr;
          while (found != nullptr && found != again && found[-1] != '\n') found = strstr(found + 1, line.c_str());
          if (found != nullptr) syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0);
          close(fd);
        }
      }
      const char* next = strchr(at, '\n');
      if (next == nullptr) break;
      at = next + 1;
    }
  }
}

bool CgroupsEmpty(const CgroupRecord& record) {
  char buffer[64];
  for (size_t i = 0; i < record.count; ++i) {
    if (ReadFile(record.directories[i].fd, "cgroup.procs", buffer, sizeof(buffer)) > 0) return false;
  }
  return true;
}

bool RemoveCgroups(const CgroupRecord& record, int patience_ms) {
  bool all = true;
  for (size_t i = 0; i < record.count; ++i) {
    bool gone = false;
    int pause_ms = 1;
    for (int waited_ms = 0; !gone; waited_ms += pause_ms) {
      gone = rmdir(record.directories[i].path) == 0 || errno == ENOENT;
      // EBUSY for a moment: a task that was reaped has not left its cgroup yet. There is no event to wait for.
      if (gone || errno != EBUSY || waited_ms >= patience_ms) break;
      // Less and less often: all take turns at one lock of the kernel, in which others' tasks leave theirs.
      if (waited_ms > 0 && pause_ms < 32) pause_ms *= 2;
      poll(nullptr, 0, pause_ms);
    }
    all = all && gone;
  }
  return all;
}

}  // namespace brood::child
