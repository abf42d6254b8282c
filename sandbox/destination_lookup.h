// The addresses of destinations that are written as names.
#ifndef BROOD_SANDBOX_DESTINATION_LOOKUP_H_
#define BROOD_SANDBOX_DESTINATION_LOOKUP_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sandbox/destination.h"

namespace brood {

// A name and what it stood for.
struct ResolvedName {
  std::string name;
  std::vector<std::string> addresses;
};

// Looks names up, once: a child that could make them stand for something else would choose its own list. What was looked up
// is added to `names`.
//
// Errors: as ParseDestination; NotFound: no such host, Unavailable: no answer.
absl::StatusOr<std::vector<Destination>> ResolveDestination(std::string_view text, std::vector<ResolvedName>* names);

}  // namespace brood

#endif  // BROOD_SANDBOX_DESTINATION_LOOKUP_H_
