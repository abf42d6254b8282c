// Turns the Stdio of a request into descriptors: the child's ends, the guardian's pipes and sinks.
#ifndef BROOD_LAUNCHER_STDIO_LINUX_H_
#define BROOD_LAUNCHER_STDIO_LINUX_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/unique_fd.h"
#include "base/untrusted_directories.h"
#include "launcher/launch_options.h"
#include "launcher/launch_record.h"

namespace brood {

struct PreparedStdio {
  UntrustedDirectories writable;
  std::vector<UniqueFd> owned;   // Keeps what was opened until the guardian has its copies.
  int child[3] = {-1, -1, -1};   // The child's ends.
  StreamRecord streams[2];
  UniqueFd captured[2];
  InputRecord input;
  UniqueFd terminal;             // The child's end of its own.
};

// Directories of the host that the child may write to, or that are not trusted, as OpenGivenFile has them.
UntrustedDirectories WritableSources(const LaunchOptions& options);

// With `counted`, output goes through the guardian wherever it leads.
absl::Status PrepareStdio(const LaunchOptions& options, bool counted, PreparedStdio* out);

}  // namespace brood

#endif  // BROOD_LAUNCHER_STDIO_LINUX_H_
