// --pass-fd: descriptors of the caller's that a program gets besides its standard streams.
#ifndef BROOD_CLI_PASSED_DESCRIPTORS_H_
#define BROOD_CLI_PASSED_DESCRIPTORS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "launcher/launch_options.h"

namespace brood {

// "FD[:NUMBER]" each, NUMBER that in the child.
//
// Errors: InvalidArgument (no such descriptor of the caller's, a directory, a number that the standard streams have); Unimplemented
// (Windows, where a handle has the same value in the child).
absl::StatusOr<std::vector<InheritedFd>> ParsePassedDescriptors(const std::vector<std::string>& texts);

}  // namespace brood

#endif  // BROOD_CLI_PASSED_DESCRIPTORS_H_
