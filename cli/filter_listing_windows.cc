#include "cli/filter_listing.h"

namespace brood {

absl::StatusOr<std::string> FilterListing(const Policy& /*policy*/) {
  return absl::UnimplementedError("--bpf: Windows has no filter of system calls");
}

}  // namespace brood
