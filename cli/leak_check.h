// Whether a violation is that of a program's own check for leaks at its end.
#ifndef BROOD_CLI_LEAK_CHECK_H_
#define BROOD_CLI_LEAK_CHECK_H_

#include <string>

#include "launcher/outcome.h"

namespace brood {

// LeakSanitizer, which AddressSanitizer brings, stops the program's threads by ptrace(2) to look at their memory. `program` is the
// path of its file.
bool IsLeakCheck(const Violation& violation, const std::string& program);

}  // namespace brood

#endif  // BROOD_CLI_LEAK_CHECK_H_
