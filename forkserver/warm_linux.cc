#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <memory_resource>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "base/own_process.h"
#include "base/unique_fd.h"
#include "forkserver/smaps.h"
#include "forkserver/warm.h"

extern "C" {
[[gnu::weak]] void __asan_init(void);
[[gnu::weak]] void __tsan_init(void);
[[gnu::weak]] void __msan_init(void);
[[gnu::weak]] void __hwasan_init(void);
}

namespace brood::internal {
namespace {

// Each has its own idea of what a stack is, and of a fork.
bool HasSanitizer() {
  return __asan_init != nullptr || __tsan_init != nullptr || __msan_init != nullptr || __hwasan_init != nullptr;
}

// One may take userfaultfd(2) for an attack, and kill: those of brood's own policies do. prctl(2), PR_GET_SECCOMP
bool HasFilter() { return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0; }

constexpr size_t kPage = 4096;
constexpr size_t kMaxPages = 1024;
constexpr size_t kMaxMappings = 256;
constexpr size_t kMaxMapping = size_t{256} << 20;  // Code is smaller. Larger ones take time to look through.
constexpr size_t kStack = size_t{1} << 20;
constexpr int kPatienceMs = 5'000;

// linux/userfaultfd.h since 5.11 and 6.7.
constexpr int kUserModeOnly = 1;
constexpr uint64_t kWriteProtectAsync = uint64_t{1} << 15;

struct Range {
  uintptr_t start = 0;
  uintptr_t end = 0;
};

// Shared with the fork.
struct Rehearsal {
  Range mappings[kMaxMappings];
  size_t mapping_count = 0;
  uintptr_t pages[kMaxPages];
  size_t page_count = 0;
  void (*rehearse)(void* arg) = nullptr;
  void* arg = nullptr;
};

Rehearsal* g_rehearsal = nullptr;

// Where a fork would fault: in private mappings of files, none of whose pages are ours already, by which something else would
// be lost that has put its own code there (a debugger, relocations). Not what is frozen, which has its own large pages.
bool IsCold(const Mapping& mapping) {
  // Locked memory cannot be forgotten either.
  if (!mapping.has_file() || absl::StartsWith(mapping.name, "/memfd:") || mapping.Has("lo")) return false;
  if (!mapping.readable || mapping.writable || mapping.shared) return false;
  return mapping.anonymous_bytes == 0 && mapping.swap_bytes == 0 && mapping.rss_bytes > 0 && mapping.size() <= kMaxMapping;
}

// For a mapping that is registered so the kernel maps the page that is wanted and no others around it: mm/memory.c,
// should_fault_around(). The descriptor is the one below those that a child closes first of all; nobody reads it.
bool MapNothingAround(const Rehearsal& rehearsal) {
  const int faults = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | kUserModeOnly));
  if (faults < 0 || dup2(faults, STDIN_FILENO) < 0) return false;
  uffdio_api api = {};
  api.api = UFFD_API;
  api.features = kWriteProtectAsync;
  if (ioctl(STDIN_FILENO, UFFDIO_API, &api) != 0) return false;
  for (size_t i = 0; i < rehearsal.mapping_count; ++i) {
    const Range& range = rehearsal.mappings[i];
    uffdio_register wanted = {};
    wanted.range = {.start = range.start, .len = range.end - range.start};
    wanted.mode = UFFDIO_REGISTER_MODE_WP;
    if (ioctl(STDIN_FILENO, UFFDIO_REGISTER, &wanted) != 0) return false;
    // What the fork itself has read so far.
    madvise(reinterpret_cast<void*>(range.start), range.end - range.start, MADV_DONTNEED);
  }
  return true;
}

int Rehearse(void* arg) {
  Rehearsal* const rehearsal = static_cast<Rehearsal*>(arg);
  g_rehearsal = rehearsal;
  rehearsal->rehearse(rehearsal->arg);
  _exit(1);
}

bool WaitFor(pid_t child) {
  const UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  pollfd polled = {pidfd.get(), POLLIN, 0};
  if (!pidfd.valid() || poll(&polled, 1, kPatienceMs) <= 0) kill(child, SIGKILL);
  int status = 0;
  return waitpid(child, &status, 0) == child && status == 0;
}

// Writes what is there: the page is ours from then on. Whoever may read it may do so through /proc/self/mem, whatever its
// protection, so that no code is writable meanwhile. proc(5)
size_t OwnPages(int memory, const uintptr_t* pages, size_t count) {
  size_t owned = 0;
  for (size_t i = 0; i < count; ++i) {
    const char same = *reinterpret_cast<const char*>(pages[i]);
    if (pwrite(memory, &same, 1, static_cast<off_t>(pages[i])) == 1) ++owned;
  }
  return owned;
}

void ForgetRest(const Range& range, const uintptr_t* pages, size_t count, child::ColdMemory* cold) {
  uintptr_t at = range.start;
  for (size_t i = 0; i <= count; ++i) {
    const uintptr_t end = i < count ? pages[i] : range.end;
    if (end > at) {
      madvise(reinterpret_cast<void*>(at), end - at, MADV_DONTNEED);
      // What there is no room for is not forgotten another time.
      if (cold != nullptr && cold->count < child::ColdMemory::kMaxRanges) cold->ranges[cold->count++] = {reinterpret_cast<char*>(at), end - at};
    }
    if (i < count) at = pages[i] + kPage;
  }
}

bool FindCold(Rehearsal& rehearsal) {
  const absl::StatusOr<std::string> smaps = ReadSmaps();
  if (!smaps.ok()) return false;
  const auto mappings = ParseSmaps(*smaps, std::pmr::get_default_resource());
  if (!mappings.ok()) return false;
  for (const Mapping& mapping : *mappings) {
    if (!IsCold(mapping) || rehearsal.mapping_count == kMaxMappings) continue;
    rehearsal.mappings[rehearsal.mapping_count++] = {mapping.start, mapping.end};
  }
  return true;
}

bool RunInFork(Rehearsal& rehearsal) {
  const std::unique_ptr<char[]> stack(new char[kStack]);
  const pid_t child = clone(Rehearse, stack.get() + kStack - kPage, SIGCHLD, &rehearsal);
  return child > 0 && WaitFor(child);
}

size_t Warm(const Rehearsal& rehearsal, child::ColdMemory* cold) {
  const int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);  // Not a UniqueFd, whose code is elsewhere.
  if (memory < 0) return 0;
  size_t owned = 0;
  const uintptr_t* const end = rehearsal.pages + std::min(rehearsal.page_count, kMaxPages);
  for (size_t i = 0; i < rehearsal.mapping_count; ++i) {
    const Range& range = rehearsal.mappings[i];
    const uintptr_t* const first = std::lower_bound(&rehearsal.pages[0], end, range.start);
    const auto count = static_cast<size_t>(std::lower_bound(first, end, range.end) - first);
    if (count == 0) continue;
    owned += OwnPages(memory, first, count);
    ForgetRest(range, first, count, cold);
  }
  close(memory);
  return owned;
}

}  // namespace

size_t WarmPagesOf(void (*rehearse)(void* arg), void* arg, child::ColdMemory* cold) {
  if (sysconf(_SC_PAGESIZE) != static_cast<long>(kPage) || HasSanitizer() || HasFilter()) return 0;
  void* const shared = mmap(nullptr, sizeof(Rehearsal), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 0;
  auto* const rehearsal = new (shared) Rehearsal;
  rehearsal->rehearse = rehearse;
  rehearsal->arg = arg;
  // All memory that this takes is given back first: what runs after the rest was forgotten maps pages again.
  const size_t owned = FindCold(*rehearsal) && RunInFork(*rehearsal) ? Warm(*rehearsal, cold) : 0;
  munmap(shared, sizeof(Rehearsal));
  return owned;
}

namespace {

template <typename Function>
void Read(Function* function) {
  (void)*reinterpret_cast<const volatile char*>(function);
}

}  // namespace

void BeginRehearsing() {
  if (!MapNothingAround(*g_rehearsal)) _exit(1);
}

void DoneRehearsing() {
  constexpr uint64_t kPresent = uint64_t{1} << 63;  // proc(5), /proc/PID/pagemap
  constexpr size_t kSome = 512;
  // What children run after us, and what this process runs once it has forgotten the rest.
  Read(EndOwnProcess);
  Read(_exit);
  Read(madvise);
  Read(munmap);
  Read(close);
  const int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (map < 0) _exit(1);
  Rehearsal& rehearsal = *g_rehearsal;
  for (size_t i = 0; i < rehearsal.mapping_count; ++i) {
    for (uintptr_t at = rehearsal.mappings[i].start; at < rehearsal.mappings[i].end; at += kSome * kPage) {
      uint64_t entries[kSome];
      const size_t count = std::min(kSome, (rehearsal.mappings[i].end - at) / kPage);
      if (pread(map, entries, count * 8, static_cast<off_t>(at / kPage * 8)) != static_cast<ssize_t>(count * 8)) _exit(1);
      for (size_t j = 0; j < count; ++j) {
        if ((entries[j] & kPresent) == 0) continue;
        if (rehearsal.page_count == kMaxPages) _exit(1);
        rehearsal.pages[rehearsal.page_count++] = at + j * kPage;
      }
    }
  }
  _exit(0);
}

}  // namespace brood::internal
