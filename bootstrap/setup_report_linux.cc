#include <unistd.h>

#include <cerrno>

#include "bootstrap/setup_report.h"

namespace brood::internal {

bool ReportSetup(int setup_handle, const SetupMessage& message) {
  if (setup_handle < 0) return true;
  ssize_t written = -1;
  do {
    written = write(setup_handle, &message, sizeof(message));
  } while (written < 0 && errno == EINTR);
  return written == sizeof(message);
}

// The socket of the set-up: the guardian holds its other end.
int ParentSentinel(const ProcessData& process) { return process.setup_handle; }

}  // namespace brood::internal
