#include <dirent.h>
#include <fcntl.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/child_safe.h"
#include "base/status.h"
#include "base/thread_count.h"
#include "base/unique_fd.h"

namespace brood {
namespace {

constexpr char kThreads[] = "/proc/self/task";

// pthread_join(3) returns when the kernel has cleared the thread's id, which is before the thread leaves this folder. What
// `stat` tells is the text of its file in there.
bool IsExiting(const char* stat) {
  constexpr unsigned long kExiting = 4;  // PF_EXITING, include/linux/sched.h
  // The name may hold anything, ") " too. Then: state, ppid, pgrp, session, tty, tpgid, flags. proc(5)
  const char* const name_end = strrchr(stat, ')');
  char state = 0;
  unsigned long flags = 0;
  if (name_end == nullptr || sscanf(name_end, ") %c %*d %*d %*d %*d %*d %lu", &state, &flags) != 2) return false;
  return state == 'Z' || state == 'X' || (flags & kExiting) != 0;
}

struct Thread {
  std::string id;
  std::string name;
};

absl::StatusOr<std::vector<Thread>> ListThreads() {
  DIR* directory = opendir(kThreads);
  if (directory == nullptr) return ErrnoStatus(errno, "count threads in", kThreads);
  std::vector<Thread> threads;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] == '.') continue;
    const UniqueFd thread(openat(dirfd(directory), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC));
    char text[512];
    // Gone meanwhile: the file is not there, or cannot be read.
    if (!thread.valid() || child::ReadFile(thread.get(), "stat", text, sizeof(text)) <= 0 || IsExiting(text)) continue;
    const char* const name = strchr(text, '(');
    const char* const end = strrchr(text, ')');
    threads.push_back({entry->d_name, name != nullptr && end > name ? std::string(name + 1, end) : ""});
  }
  closedir(directory);
  return threads;
}

}  // namespace

bool IsKnownToBeAlone() { return __libc_single_threaded != 0; }

absl::StatusOr<int> ThreadCount() {
  // The directory has a link for each thread, besides its own two: fs/proc/base.c, proc_task_getattr(). A kernel that
  // only looks like Linux may not count them.
  struct stat about = {};
  if (stat(kThreads, &about) == 0 && about.st_nlink == 3) return 1;
  BROOD_ASSIGN_OR_RETURN(const std::vector<Thread> threads, ListThreads());
  return std::max(static_cast<int>(threads.size()), 1);
}

absl::StatusOr<std::vector<std::string>> OtherThreads() {
  BROOD_ASSIGN_OR_RETURN(const std::vector<Thread> threads, ListThreads());
  const std::string first = absl::StrCat(getpid());
  std::vector<std::string> names;
  for (const Thread& thread : threads) {
    if (thread.id != first) names.push_back(absl::StrCat(thread.name, " (thread ", thread.id, ")"));
  }
  return names;
}

}  // namespace brood
