// Gives a child its files for reading in a form that it cannot turn into one for writing.
//
// Child-safe: see base/child_safe.h.
#ifndef BROOD_LAUNCHER_READ_ONLY_FILES_CHILD_H_
#define BROOD_LAUNCHER_READ_ONLY_FILES_CHILD_H_

#include "launcher/launch_record.h"

namespace brood::child {

// Replaces each descriptor that has a `read_only_path` by one of the same file through a read-only mount, with the same
// offset and flags. Runs in the child's own mount namespace while the caller's files are still in it, and with the caller's
// ids. False: `failure` says what could not be done.
bool OpenFilesReadOnly(const LaunchRecord& record, SetupMessage* failure);

}  // namespace brood::child

#endif  // BROOD_LAUNCHER_READ_ONLY_FILES_CHILD_H_
