#include <dirent.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/status.h"
#include "base/thread_count.h"

namespace brood {
namespace {

constexpr char kThreads[] = "/proc/self/task";

absl::StatusOr<int> ListThreads() {
  DIR* directory = opendir(kThreads);
  if (directory == nullptr) return ErrnoStatus(errno, "count threads in", kThreads);
  int count = 0;
  while (const dirent* entry = readdir(directory)) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

}  // namespace

absl::StatusOr<int> ThreadCount() {
  // The directory has a link for each thread, besides its own two: fs/proc/base.c, proc_task_getattr(). A kernel that
  // only looks like Linux may not count them.
  struct stat about = {};
  if (stat(kThreads, &about) == 0 && about.st_nlink > 2) return static_cast<int>(about.st_nlink) - 2;
  return ListThreads();
}

}  // namespace brood
