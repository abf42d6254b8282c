#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/child_safe.h"
#include "launcher/jobs/kernel_state.h"

namespace brood::internal {
namespace {

struct Field {
  const char* key;   // In /proc/self/status.
  const char* what;  // It differs.
};

// In the order of the kernel: fs/proc/array.c. Not here is what is measured or counted.
constexpr Field kFields[] = {
    {"Name:", "name of the process"},
    {"Umask:", "file mode mask"},
    {"TracerPid:", "tracer"},
    {"Uid:", "user ids"},
    {"Gid:", "group ids"},
    {"Groups:", "groups"},
    {"NSpgid:", "process group"},
    {"NSsid:", "session"},
    {"VmLck:", "locked memory"},
    {"VmPin:", "pinned memory"},
    {"Threads:", "threads"},
    {"SigPnd:", "signals (pending)"},
    {"ShdPnd:", "signals (pending)"},
    {"SigBlk:", "signals (blocked)"},
    {"SigIgn:", "signals (ignored)"},
    {"SigCgt:", "signals (handlers)"},
    {"CapInh:", "capabilities"},
    {"CapPrm:", "capabilities"},
    {"CapEff:", "capabilities"},
    {"CapBnd:", "capabilities"},
    {"CapAmb:", "capabilities"},
    {"NoNewPrivs:", "no_new_privs"},
    {"Seccomp:", "filter of system calls"},
    {"Seccomp_filters:", "filter of system calls"},
    {"Cpus_allowed:", "set of processors"},
    {"Mems_allowed:", "set of memory nodes"},
};

const Field* FieldOf(const char* line) {
  for (const Field& field : kFields) {
    if (strncmp(line, field.key, strlen(field.key)) == 0) return &field;
  }
  return nullptr;
}

// False if it is not there, or too large.
bool ReadWhole(int fd, char* to, size_t size) {
  size_t have = 0;
  for (;;) {
    const ssize_t n = pread(fd, to + have, size - 1 - have, static_cast<off_t>(have));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 || have + static_cast<size_t>(n) == size - 1) return false;
    have += static_cast<size_t>(n);
    if (n == 0) break;
  }
  to[have] = '\0';
  return true;
}

// Leaves the lines that count.
void KeepFields(char* text) {
  char* to = text;
  for (char* line = text; *line != '\0';) {
    char* const newline = strchr(line, '\n');
    char* const end = newline != nullptr ? newline + 1 : line + strlen(line);
    if (FieldOf(line) != nullptr) {
      memmove(to, line, static_cast<size_t>(end - line));
      to += end - line;
    }
    line = end;
  }
  *to = '\0';
}

// A stack grows by being used. "7ffc0000-7ffd0000 rw-p ... [stack]": its beginning is made dots.
void ForgetStackSize(char* maps) {
  char* const name = strstr(maps, "[stack]\n");
  if (name == nullptr) return;
  char* line = name;
  while (line > maps && line[-1] != '\n') --line;
  for (; *line != '-' && line < name; ++line) *line = '.';
}

struct Entry {  // linux_dirent64. getdents(2)
  uint64_t inode;
  int64_t offset;
  uint16_t size;
  uint8_t type;
  char name[1];
};

bool ListDescriptors(int folder, KernelState& state) {
  state.descriptor_count = 0;
  if (lseek(folder, 0, SEEK_SET) != 0) return false;
  alignas(8) char buffer[8192];
  for (;;) {
    const long n = syscall(SYS_getdents64, folder, buffer, sizeof(buffer));
    if (n <= 0) return n == 0;
    for (long at = 0; at < n;) {
      const auto* const entry = reinterpret_cast<const Entry*>(buffer + at);
      at += entry->size;
      if (entry->name[0] == '.') continue;
      if (state.descriptor_count == KernelState::kMaxFds) return false;
      KernelState::Descriptor& descriptor = state.descriptors[state.descriptor_count++];
      descriptor = {};
      descriptor.number = static_cast<int>(child::ParseNumber(entry->name));
      struct stat about = {};
      if (fstat(descriptor.number, &about) != 0) return false;
      descriptor.device = about.st_dev;
      descriptor.inode = about.st_ino;
      descriptor.flags = fcntl(descriptor.number, F_GETFL);
      descriptor.descriptor_flags = fcntl(descriptor.number, F_GETFD);
      // What a job prints is for others to read. That of a folder of /proc is ours, which we have just moved.
      if (S_ISREG(about.st_mode) && descriptor.number > 2) descriptor.offset = lseek(descriptor.number, 0, SEEK_CUR);
    }
  }
}

// Of /proc/self/maps: "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ", and a name if there is one. proc(5)
struct Line {
  uintptr_t start = 0;
  uintptr_t end = 0;
  bool is_anonymous = false;  // Private too.
};

bool NextLine(const char** at, Line* line) {
  if (**at == '\0') return false;
  char* end = nullptr;
  line->start = strtoul(*at, &end, 16);
  line->end = *end == '-' ? strtoul(end + 1, &end, 16) : line->start;  // Not of the stack.
  const char* const newline = strchr(end, '\n');
  const char* const next = newline != nullptr ? newline : end + strlen(end);
  line->is_anonymous = strncmp(end + 4, "p 00000000 00:00 0 \n", 20) == 0;
  *at = newline != nullptr ? next + 1 : next;
  return true;
}

bool SameTimer(const timeval& a, const timeval& b) { return (a.tv_sec == 0 && a.tv_usec == 0) == (b.tv_sec == 0 && b.tv_usec == 0); }

}  // namespace

const char* KernelStateFiles::Open() {
  status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  timers = open("/proc/self/timers", O_RDONLY | O_CLOEXEC);
  pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  task.Open();
  if (status < 0) return "/proc/self/status";
  if (maps < 0) return "/proc/self/maps";
  if (fd < 0) return "/proc/self/fd";
  if (timers < 0) return "/proc/self/timers (CONFIG_CHECKPOINT_RESTORE)";
  return nullptr;
}

const char* KernelState::Take(const KernelStateFiles& files) {
  if (!ReadWhole(files.status, status, sizeof(status))) return "status of the process";
  KeepFields(status);
  if (!ReadWhole(files.maps, maps, sizeof(maps))) return "mappings";
  ForgetStackSize(maps);
  if (!ListDescriptors(files.fd, *this)) return "descriptors";
  if (!ReadWhole(files.timers, timers, sizeof(timers))) return "timers";
  getitimer(ITIMER_REAL, &interval_timers[0]);
  getitimer(ITIMER_VIRTUAL, &interval_timers[1]);
  getitimer(ITIMER_PROF, &interval_timers[2]);
  stack_t stack = {};
  sigaltstack(nullptr, &stack);
  other_stack = stack.ss_sp;
  other_stack_flags = stack.ss_flags;
  struct stat about = {};
  if (stat(".", &about) != 0) return "working directory";
  directory_device = about.st_dev;
  directory_inode = about.st_ino;
  for (int i = 0; i < RLIM_NLIMITS; ++i) getrlimit(static_cast<__rlimit_resource>(i), &limits[i]);
  siginfo_t info = {};
  has_child = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
  task.Take(files.task, status, files.pagemap);
  return nullptr;
}

bool KernelState::HasOtherThreads(const KernelStateFiles& files) {
  return ReadWhole(files.status, status, sizeof(status)) && child::NumberAfter(status, "Threads:", 1) > 1;
}

void KernelState::UnmapNew(const KernelState& before) const {
  Line mine;
  for (const char* at = maps; NextLine(&at, &mine);) {
    if (!mine.is_anonymous) continue;
    bool is_new = true;
    Line its;
    for (const char* other = before.maps; is_new && NextLine(&other, &its);) is_new = its.end <= mine.start || mine.end <= its.start;
    if (is_new) munmap(reinterpret_cast<void*>(mine.start), mine.end - mine.start);
  }
}

void KernelState::CloseNewCode(const KernelState& before) const {
  for (size_t i = 0; i < descriptor_count; ++i) {
    const Descriptor& mine = descriptors[i];
    bool is_new = true;
    for (size_t j = 0; is_new && j < before.descriptor_count; ++j) is_new = before.descriptors[j].number != mine.number;
    if (!is_new || (mine.flags & O_ACCMODE) != O_RDONLY) continue;
    char inode[32];
    snprintf(inode, sizeof(inode), " %lu ", static_cast<unsigned long>(mine.inode));
    // " r-xp 00001000 fe:00 4711 ": the device is written in two ways, depending on the file system.
    for (const char* at = before.maps; (at = strstr(at, " r-xp ")) != nullptr; ++at) {
      const char* const newline = strchr(at, '\n');
      const char* const found = strstr(at, inode);
      if (found == nullptr || newline == nullptr || found > newline) continue;
      close(mine.number);
      break;
    }
  }
}

const char* KernelState::Difference(const KernelState& other) const {
  if (strcmp(status, other.status) != 0) {
    const char* mine = status;
    const char* its = other.status;
    for (;;) {
      const size_t mine_length = strcspn(mine, "\n"), its_length = strcspn(its, "\n");
      if (mine_length != its_length || memcmp(mine, its, mine_length) != 0 || *mine == '\0') break;
      mine += mine_length + 1;
      its += its_length + 1;
    }
    const Field* const field = FieldOf(mine);
    return field != nullptr ? field->what : "status of the process";
  }
  if (has_child != other.has_child) return "children";
  if (strcmp(maps, other.maps) != 0) return "mappings";
  if (descriptor_count != other.descriptor_count) return "descriptors";
  for (size_t i = 0; i < descriptor_count; ++i) {
    if (descriptors[i] != other.descriptors[i]) return "descriptors";
  }
  if (strcmp(timers, other.timers) != 0) return "timers";
  for (int i = 0; i < 3; ++i) {
    if (!SameTimer(interval_timers[i].it_value, other.interval_timers[i].it_value)) return "timers";
  }
  if (other_stack != other.other_stack || other_stack_flags != other.other_stack_flags) return "signals (alternative stack)";
  if (directory_device != other.directory_device || directory_inode != other.directory_inode) return "working directory";
  for (int i = 0; i < RLIM_NLIMITS; ++i) {
    if (limits[i].rlim_cur != other.limits[i].rlim_cur || limits[i].rlim_max != other.limits[i].rlim_max) return "resource limits";
  }
  return task.Difference(other.task);
}

}  // namespace brood::internal
