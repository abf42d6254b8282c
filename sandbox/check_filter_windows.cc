#include "sandbox/check_filter.h"

namespace brood {

absl::Status CheckFilter(const Policy& /*policy*/) { return absl::OkStatus(); }

}  // namespace brood
