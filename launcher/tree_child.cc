#include "launcher/tree_child.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/child_safe.h"

namespace brood::child {
namespace {

constexpr size_t kMaxProcesses = kMaxSampled;
constexpr int kLongestPauseMs = 64;

struct Processes {
  pid_t pids[kMaxProcesses];
  size_t count = 0;
  void Add(pid_t pid) {
    if (pid > 0 && count < kMaxProcesses) pids[count++] = pid;
  }
};

// Children are listed per thread of their parent. proc(5), /proc/pid/task/tid/children.
void AddChildrenOfTask(pid_t pid, const char* task, Processes* out) {
  Text<96> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(pid)).Add("/task/").Add(task).Add("/children");
  char buffer[8192];
  if (ReadFile(AT_FDCWD, path.c_str(), buffer, sizeof(buffer)) <= 0) return;
  for (const char* at = buffer; *at != '\0';) {
    out->Add(static_cast<pid_t>(ParseNumber(at)));
    at = strchr(at, ' ');
    if (at == nullptr) break;
    ++at;
  }
}

struct LinuxDirent {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

void AddChildren(pid_t pid, Processes* out) {
  Text<64> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(pid)).Add("/task");
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  alignas(LinuxDirent) char buffer[4096];
  for (;;) {
    const long bytes = syscall(SYS_getdents64, fd, buffer, sizeof(buffer));  // readdir(3) allocates.
    if (bytes <= 0) break;
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const LinuxDirent*>(buffer + at);
      if (entry->name[0] >= '0' && entry->name[0] <= '9') AddChildrenOfTask(pid, entry->name, out);
      at += entry->length;
    }
  }
  close(fd);
}

uint64_t Field(const char* stat, int number) {
  // The name in parentheses may hold blanks and parentheses; the fields go on after the last one. proc(5).
  const char* at = strrchr(stat, ')');
  if (at == nullptr) return 0;
  for (int field = 2; field < number && at != nullptr; ++field) {
    at = strchr(at + 1, ' ');
  }
  return at != nullptr ? ParseNumber(at) : 0;
}

void ReapAll() {
  for (;;) {
    const pid_t pid = waitpid(-1, nullptr, WNOHANG | __WALL);
    if (pid > 0 || (pid < 0 && errno == EINTR)) continue;
    return;
  }
}

bool NoChildren() {
  siginfo_t info;
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 && errno == ECHILD;
}

// Until one of our children ends, or for that long: what is still ending may become ours without a signal. All signals are
// blocked, so that this one waits to be taken, and one that came before costs us one round more. sigtimedwait(2)
void AwaitChild(int patience_ms) {
  const uint64_t mask = uint64_t{1} << (SIGCHLD - 1);
  const timespec patience = {.tv_sec = 0, .tv_nsec = patience_ms * 1'000'000L};
  syscall(SYS_rt_sigtimedwait, &mask, nullptr, &patience, sizeof(mask));
}

}  // namespace

TreeSample SampleTree(pid_t root, SampleDepth depth) {
  Processes tree;  // 4 KiB, not static: light guardians share their memory.
  tree.Add(root);
  for (size_t i = 0; i < tree.count; ++i) AddChildren(tree.pids[i], &tree);
  TreeSample sample;
  const uint64_t page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t tick_ns = 1'000'000'000u / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  for (size_t i = 0; i < tree.count; ++i) {
    char buffer[1024];
    Text<64> path;
    path.Add("/proc/").AddNumber(static_cast<uint64_t>(tree.pids[i])).Add("/stat");
    if (ReadFile(AT_FDCWD, path.c_str(), buffer, sizeof(buffer)) > 0) {
      sample.tasks += Field(buffer, 20);  // num_threads
      for (int field = 14; field <= 17; ++field) sample.cpu_ns += Field(buffer, field) * tick_ns;
    }
    Text<64> memory;
    memory.Add("/proc/").AddNumber(static_cast<uint64_t>(tree.pids[i])).Add("/statm");
    if (ReadFile(AT_FDCWD, memory.c_str(), buffer, sizeof(buffer)) > 0) {
      const char* resident = strchr(buffer, ' ');
      const char* shared = resident != nullptr ? strchr(resident + 1, ' ') : nullptr;
      if (shared != nullptr) {
        const uint64_t all = ParseNumber(resident);
        const uint64_t file = ParseNumber(shared);
        sample.memory_bytes += (all > file ? all - file : 0) * page;
      }
    }
    if (depth != SampleDepth::kPeaks) continue;
    Text<64> status;
    status.Add("/proc/").AddNumber(static_cast<uint64_t>(tree.pids[i])).Add("/status");
    char text[4096];
    if (ReadFile(AT_FDCWD, status.c_str(), text, sizeof(text)) > 0) {
      const uint64_t peak = NumberAfter(text, "VmHWM:", 0) * 1024u;  // In KiB. proc(5).
      if (peak > sample.largest_rss_bytes) sample.largest_rss_bytes = peak;
    }
  }
  return sample;
}

bool KillTree(const LaunchRecord& record, int init_pidfd, int patience_ms) {
  Processes children;
  const uint64_t deadline = MonotonicNanoseconds() + static_cast<uint64_t>(patience_ms) * 1'000'000;
  const auto is_gone = [&record] {
    ReapAll();
    return NoChildren() && (record.cgroup.count == 0 || CgroupsEmpty(record.cgroup));
  };
  int pause_ms = 1;
  AwaitChild(0);  // What has ended until now is found by the looks below, and would only end the first wait.
  if (init_pidfd >= 0) {
    // By pidfd: the init is ours to reap, so it cannot be somebody else yet, but nobody has to know that here.
    syscall(SYS_pidfd_send_signal, init_pidfd, SIGKILL, nullptr, 0);
    // That is the end of all in its pid namespace, and seldom takes long. It may well be to happen on this processor, which we
    // would keep from it by looking for others. pid_namespaces(7)
    if ((record.plan.namespaces & CLONE_NEWPID) != 0) {
      ReapAll();
      if (!NoChildren()) AwaitChild(pause_ms);
      if (is_gone()) return true;
    }
  }
  do {
    if (record.cgroup.count > 0) KillCgroups(record.cgroup);
    // We are a subreaper: what loses its parent becomes our child. Our children are not reaped but here, so their
    // numbers cannot have passed to others. prctl(2), PR_SET_CHILD_SUBREAPER.
    children.count = 0;
    AddChildren(getpid(), &children);
    for (size_t i = 0; i < children.count; ++i) kill(children.pids[i], SIGKILL);
    if (is_gone()) return true;
    // A child's end wakes us. For what bears no such news, less and less often: where a thousand trees end at once, those who
    // look after them would keep them from it.
    AwaitChild(pause_ms);
    // Most often that was the last; there is nobody to be looked for again then.
    if (is_gone()) return true;
    if (pause_ms < kLongestPauseMs) pause_ms *= 2;
  } while (MonotonicNanoseconds() < deadline);
  return false;
}

bool KillChildren(int patience_ms) { return KillTree(LaunchRecord{}, -1, patience_ms); }

}  // namespace brood::child
