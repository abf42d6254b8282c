// From what the guardian kept of a thread (snapshot.h) to the functions that it was in.
#ifndef BROOD_LAUNCHER_STACK_STACK_TRACE_H_
#define BROOD_LAUNCHER_STACK_STACK_TRACE_H_

#include <string>
#include <vector>

#include "launcher/outcome.h"
#include "sandbox/policy.h"

namespace brood {

struct StackTrace {
  std::vector<StackFrame> frames;  // The innermost first; at most 64.
  std::string end;                 // Why there are no more: "outermost function", or what is missing.
};

// Reads the snapshot in `fd`, and the programs and libraries that it names, as this process sees them or as `policy` showed
// them to the child. A file that is another one by now is not looked at. Whatever a hostile child left in its memory, the
// trace is short or wrong and soon there.
StackTrace ReadStackTrace(int fd, const Policy* policy);

}  // namespace brood

#endif  // BROOD_LAUNCHER_STACK_STACK_TRACE_H_
