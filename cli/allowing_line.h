// Whether a line that is added to a policy's "syscalls" lets a call take place, and where it must stand for that: other rules of
// the file, and those that options bring, may be for the same call. For `brood run`, on Linux.
#ifndef BROOD_CLI_ALLOWING_LINE_H_
#define BROOD_CLI_ALLOWING_LINE_H_

#include <string>

#include "batch/policy_options.h"
#include "launcher/outcome.h"

namespace brood {

enum class LinePlace {
  kAnywhere,
  kFirst,    // Before the other rules of the file.
  kNowhere,  // A rule of the file has to be changed.
  kOptions,  // What the options bring refuses the call whatever the file says.
};

// `text` is that of a policy file, or of a profile of OCI's, that could be read.
LinePlace PlaceOfLine(const std::string& text, const std::string& line, const PolicyOptions& options, const Violation& violation);

}  // namespace brood

#endif  // BROOD_CLI_ALLOWING_LINE_H_
