// Copies files into a child's root and out of it. See copy_record.h.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_COPY_COPY_CHILD_H_
#define BROOD_LAUNCHER_COPY_COPY_CHILD_H_

#include "base/setup_message.h"
#include "launcher/copy/copy_record.h"

namespace brood::child {

// In init, once the root is built and before anybody else runs in it: makes the files, and the directories above them. A file
// that is there already is an error.
bool CopyFilesIn(const CopyRecord& record, SetupMessage* failure);

// Where a file will come out of: the nearest directory above it that is there before the child starts.
struct CopyPlace {
  int directory = -1;
  uint16_t rest = 0;  // Where in its path the rest begins.
};

// In init, after CopyFilesIn.
bool OpenCopyPlaces(const CopyRecord& record, CopyPlace* places, SetupMessage* failure);

// In the guardian, when nothing of the tree is left to change what is looked at: copies one file. What the child left is
// looked up from `place` on without leaving it, following a link, or waiting for anybody.
CopyResult CopyFileOut(const CopyOutRecord& record, const CopyPlace& place);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_COPY_COPY_CHILD_H_
