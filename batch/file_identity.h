// Whether two paths are one file, before it is there or when it is.
#ifndef BROOD_BATCH_FILE_IDENTITY_H_
#define BROOD_BATCH_FILE_IDENTITY_H_

#include <string>
#include <vector>

namespace brood {

enum class LastLink {
  kFollow,   // As open(2) does: what is written is what it leads to.
  kReplace,  // As rename(2) does: what is written takes its place.
};

// What two paths have in common if they lead to one regular file, and only then. Empty of what is none (a device, a FIFO, a
// directory), which many may write to.
std::vector<std::string> IdentitiesOf(const std::string& path, LastLink link);

// The same of an open descriptor of ours.
std::vector<std::string> IdentitiesOfDescriptor(int fd);

}  // namespace brood

#endif  // BROOD_BATCH_FILE_IDENTITY_H_
