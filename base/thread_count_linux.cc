#include <dirent.h>

#include <cerrno>

#include "base/status.h"
#include "base/thread_count.h"

namespace brood {

absl::StatusOr<int> ThreadCount() {
  DIR* directory = opendir("/proc/self/task");
  if (directory == nullptr) return ErrnoStatus(errno, "count threads in", "/proc/self/task");
  int count = 0;
  while (const dirent* entry = readdir(directory)) count += entry->d_name[0] != '.';
  closedir(directory);
  return count;
}

}  // namespace brood
