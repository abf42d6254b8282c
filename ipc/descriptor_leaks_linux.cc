#include <dirent.h>

#include <cstdlib>

#include "ipc/descriptor_leaks.h"

namespace brood {

std::set<int> OpenDescriptors() {
  std::set<int> open;
  DIR* const directory = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') open.insert(std::atoi(entry->d_name));
  }
  open.erase(dirfd(directory));
  closedir(directory);
  return open;
}

}  // namespace brood
