// /proc/PID/status as text.
#ifndef BROOD_FORKSERVER_STATUS_TEXT_H_
#define BROOD_FORKSERVER_STATUS_TEXT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace brood::internal {

// Of the calling thread.
absl::StatusOr<std::string> ReadStatusText();

// What stands behind "NAME:", without the blanks around it. Empty if there is none.
std::string_view StatusField(std::string_view text, std::string_view name);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_STATUS_TEXT_H_
