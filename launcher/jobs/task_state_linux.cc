#include "launcher/jobs/task_state.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace brood::internal {
namespace {

constexpr const char* kNamespaceNames[TaskState::kNamespaces] = {"cgroup", "ipc", "mnt", "net", "pid_for_children", "time_for_children", "user", "uts"};

struct File {
  const char* path;
  const char* what;
};
constexpr File kTextFiles[TaskStateFiles::kTexts] = {
    {"/proc/self/personality", "personality"},
    {"/proc/self/oom_score_adj", "oom_score_adj"},
    {"/proc/self/coredump_filter", "coredump_filter"},
    {"/proc/self/timerslack_ns", "timer slack"},
    {"/proc/self/cgroup", "cgroup"},
};

// prctl(2). Some write to where the second argument points.
struct Attribute {
  int option;
  bool writes;
  const char* what;
};
constexpr Attribute kAttributeList[TaskState::kAttributes] = {
    {PR_GET_DUMPABLE, false, "dumpable flag"},
    {PR_GET_PDEATHSIG, true, "signals (at the parent's death)"},
    {PR_GET_TIMERSLACK, false, "timer slack"},
    {PR_GET_KEEPCAPS, false, "capabilities (kept)"},
    {PR_GET_SECUREBITS, false, "capabilities (securebits)"},
    {PR_GET_CHILD_SUBREAPER, true, "subreaper"},
    {PR_GET_THP_DISABLE, false, "huge pages"},
    {PR_GET_TSC, true, "time stamp counter"},
    {PR_MCE_KILL_GET, false, "machine checks"},
};

constexpr long kNotAsked = -1;

// A call whose setter a filter would refuse, too, it may take for an attack. proc(5), "Seccomp"
bool HasFilter(const char* status) {
  const char* const line = strstr(status, "Seccomp:\t");
  return line == nullptr || line[9] != '0';
}

// After the name in parentheses, in which there may be anything: proc(5), /proc/PID/stat, fields 18, 19, 40 and 41.
void ReadScheduling(int stat, long* out) {
  char text[1024];
  const ssize_t n = stat < 0 ? -1 : pread(stat, text, sizeof(text) - 1, 0);
  text[n > 0 ? n : 0] = '\0';
  const char* at = strrchr(text, ')');
  for (int field = 2; at != nullptr && field <= 41; ++field, at = strchr(at + 1, ' ')) {
    if (field == 18) out[0] = strtol(at, nullptr, 10);
    if (field == 19) out[1] = strtol(at, nullptr, 10);
    if (field == 40) out[2] = strtol(at, nullptr, 10);
    if (field == 41) out[3] = strtol(at, nullptr, 10);
  }
}

// mlockall(2), MCL_FUTURE: told by nothing but what becomes of new memory.
bool LocksNewMemory(int pagemap) {
  constexpr size_t kPage = 4096;
  constexpr uint64_t kPresent = uint64_t{1} << 63;
  if (pagemap < 0) return false;
  void* const page = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return false;
  uint64_t entry = 0;
  const auto at = static_cast<off_t>(reinterpret_cast<uintptr_t>(page) / kPage * sizeof(entry));
  const bool present = pread(pagemap, &entry, sizeof(entry), at) == static_cast<ssize_t>(sizeof(entry)) && (entry & kPresent) != 0;
  munmap(page, kPage);
  return present;
}

}  // namespace

void TaskStateFiles::Open() {
  namespaces = open("/proc/self/ns", O_PATH | O_DIRECTORY | O_CLOEXEC);
  stat = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  for (size_t i = 0; i < kTexts; ++i) texts[i] = open(kTextFiles[i].path, O_RDONLY | O_CLOEXEC);
}

void TaskState::Take(const TaskStateFiles& files, const char* status, int pagemap) {
  memset(static_cast<void*>(this), 0, sizeof(*this));
  struct stat about = {};
  if (stat("/", &about) == 0) {
    root_device = about.st_dev;
    root_inode = about.st_ino;
  }
  for (size_t i = 0; i < kNamespaces && files.namespaces >= 0; ++i) {
    (void)!readlinkat(files.namespaces, kNamespaceNames[i], namespaces[i], sizeof(namespaces[i]) - 1);
  }
  ReadScheduling(files.stat, scheduling);
  for (size_t i = 0; i < TaskStateFiles::kTexts; ++i) {
    if (files.texts[i] >= 0) (void)!pread(files.texts[i], texts[i], sizeof(texts[i]) - 1, 0);
  }
  for (size_t i = 0; i < kAttributes; ++i) {
    int written = 0;
    const int result = kAttributeList[i].writes ? prctl(kAttributeList[i].option, &written, 0, 0, 0) : prctl(kAttributeList[i].option, 0, 0, 0, 0);
    attributes[i] = kAttributeList[i].writes ? written : result;
  }
  const char* const caught = strstr(status, "SigCgt:\t");
  const uint64_t set = caught != nullptr ? strtoull(caught + 8, nullptr, 16) : 0;
  for (int signal = 1; signal <= kSignals; ++signal) {
    if ((set >> (signal - 1) & 1) != 0) syscall(SYS_rt_sigaction, signal, nullptr, &actions[signal - 1], sizeof(uint64_t));
  }
  locks_new_memory = LocksNewMemory(pagemap);
  io_priority = session_keyring = memory_policy = kNotAsked;
  if (HasFilter(status)) return;
  constexpr int kIoprioWhoProcess = 1;  // ioprio_set(2)
  constexpr int kGetKeyringId = 0, kSessionKeyring = -3;  // keyctl(2)
  io_priority = syscall(SYS_ioprio_get, kIoprioWhoProcess, 0);
  session_keyring = syscall(SYS_keyctl, kGetKeyringId, kSessionKeyring, 0);
  (void)syscall(SYS_get_mempolicy, &memory_policy, nullptr, 0, nullptr, 0);
}

const char* TaskState::Difference(const TaskState& other) const {
  if (root_device != other.root_device || root_inode != other.root_inode) return "root directory";
  if (memcmp(namespaces, other.namespaces, sizeof(namespaces)) != 0) return "namespaces";
  if (memcmp(scheduling, other.scheduling, sizeof(scheduling)) != 0) return "scheduling";
  for (size_t i = 0; i < TaskStateFiles::kTexts; ++i) {
    if (strcmp(texts[i], other.texts[i]) != 0) return kTextFiles[i].what;
  }
  for (size_t i = 0; i < kAttributes; ++i) {
    if (attributes[i] != other.attributes[i]) return kAttributeList[i].what;
  }
  if (memcmp(actions, other.actions, sizeof(actions)) != 0) return "signals (handlers)";
  if (locks_new_memory != other.locks_new_memory) return "locked memory";
  if (io_priority != other.io_priority) return "I/O priority";
  if (session_keyring != other.session_keyring) return "keyrings";
  if (memory_policy != other.memory_policy) return "memory policy";
  return nullptr;
}

}  // namespace brood::internal
