#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "base/thread_count.h"
#include "forkserver/freeze_checks.h"
#include "forkserver/smaps.h"

// Of those allocators that purge pages and take it that they are zeros then, to name them.
extern "C" {
[[gnu::weak]] int mallctl(const char*, void*, size_t*, void*, size_t);
[[gnu::weak]] const char* tc_version(int*, int*, const char**);
[[gnu::weak]] int mi_version(void);
[[gnu::weak]] void __asan_init(void);
[[gnu::weak]] void __tsan_init(void);
[[gnu::weak]] void __msan_init(void);
[[gnu::weak]] void __hwasan_init(void);
}

namespace brood::internal {
namespace {

absl::Status Refuse(std::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("freeze: ", why, "; see docs/freeze.md"));
}

const char* OtherAllocator() {
  if (__asan_init != nullptr || __tsan_init != nullptr || __msan_init != nullptr || __hwasan_init != nullptr) return "a sanitizer's";
  if (mallctl != nullptr) return "jemalloc's";
  if (tc_version != nullptr) return "tcmalloc's";
  if (mi_version != nullptr) return "mimalloc's";
  return nullptr;
}

// glibc counts what its own malloc has given. mallinfo(3)
bool MallocIsGlibcs() {
  constexpr size_t kBytes = 50'000;  // No cache of a thread keeps so large a block.
  const auto in_use = [] {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  const size_t before = in_use();
  void* volatile const block = malloc(kBytes);
  const size_t after = in_use();
  free(block);
  return after >= before + kBytes;
}

// Whether what a descriptor or mapping is called stands for something that writes to, or reads, pages that were registered,
// whatever is mapped there by then.
const char* Pins(std::string_view name) {
  if (absl::StrContains(name, "[io_uring]")) return "io_uring";
  if (absl::StrContains(name, "[aio]")) return "asynchronous I/O (io_setup)";
  if (absl::StrContains(name, "[userfaultfd]")) return "userfaultfd";
  if (absl::StartsWith(name, "/dev/vfio/") || absl::StartsWith(name, "/dev/infiniband/")) return "a device with access to memory";
  return nullptr;
}

absl::Status CheckPins() {
  BROOD_ASSIGN_OR_RETURN(const std::string text, ReadSmaps());
  BROOD_ASSIGN_OR_RETURN(const auto mappings, ParseSmaps(text, std::pmr::new_delete_resource()));
  for (const Mapping& mapping : mappings) {
    if (const char* const pins = Pins(mapping.name); pins != nullptr) return Refuse(absl::StrCat(pins, " is in use"));
  }
  DIR* const directory = opendir("/proc/self/fd");
  if (directory == nullptr) return ErrnoStatus(errno, "freeze: list", "/proc/self/fd");
  const char* pins = nullptr;
  while (const dirent* const entry = readdir(directory)) {
    char target[64] = {};
    if (readlinkat(dirfd(directory), entry->d_name, target, sizeof(target) - 1) > 0 && pins == nullptr) pins = Pins(target);
  }
  closedir(directory);
  return pins == nullptr ? absl::OkStatus() : Refuse(absl::StrCat(pins, " is in use"));
}

// As a filter of system calls may take unshare(2) for an attack, and kill.
bool HasFilter() {
  constexpr uint64_t kFilter = 2;  // SECCOMP_MODE_FILTER; proc(5), "Seccomp"
  char text[4096];
  if (child::ReadFile(AT_FDCWD, "/proc/self/status", text, sizeof(text)) <= 0) return true;
  return child::NumberAfter(text, "Seccomp:", kFilter) == kFilter;
}

absl::Status CheckChildless() {
  char text[64];
  const long length = child::ReadFile(AT_FDCWD, "/proc/thread-self/children", text, sizeof(text));
  if (length == 0) return absl::OkStatus();
  if (length < 0) return ErrnoStatus(errno, "freeze: read", "/proc/thread-self/children");
  return Refuse("this process has children, and under its filter of system calls it cannot ask whether they share its memory");
}

absl::Status CheckAlone() {
  BROOD_ASSIGN_OR_RETURN(const int threads, ThreadCount());
  if (threads != 1) return Refuse(absl::StrCat("there are ", threads - 1, " other threads, whose writes would be lost"));
  // A thread that is on its way out, which is not counted, still has the memory.
  struct stat all = {};
  while (stat("/proc/self/task", &all) == 0 && all.st_nlink > 3) usleep(100);
  if (HasFilter()) return CheckChildless();
  // To share no memory is what it has already, or EINVAL: another process may have it, as between vfork and exec. unshare(2)
  if (unshare(CLONE_VM) == 0) return absl::OkStatus();
  if (errno == EINVAL) return Refuse("another process shares this memory (vfork, clone with CLONE_VM)");
  return ErrnoStatus(errno, "freeze: unshare(CLONE_VM), to learn whether another process shares this memory");
}

}  // namespace

absl::Status CheckFreezable() {
  const char* const other = OtherAllocator();
  if (other != nullptr || !MallocIsGlibcs()) {
    return Refuse(absl::StrCat("malloc is ", other != nullptr ? other : "not glibc's",
                               ", and may take it that pages which it has given back are zeros"));
  }
  BROOD_RETURN_IF_ERROR(CheckAlone());
  return CheckPins();
}

}  // namespace brood::internal
