// What may be shown as a device.
#ifndef BROOD_SANDBOX_PLAN_DEVICES_H_
#define BROOD_SANDBOX_PLAN_DEVICES_H_

#include <string>

#include "absl/status/statusor.h"

namespace brood {

struct DeviceSource {
  bool directory = false;
  bool is_private = false;  // A single device that not everybody can open for reading and writing.
};

// `path` has no links in it. Errors: InvalidArgument, if it is neither a device nor a directory with nothing in it but devices,
// links and such directories; /dev itself is none that can be asked for.
absl::StatusOr<DeviceSource> LookAtDevice(const std::string& path);

}  // namespace brood

#endif  // BROOD_SANDBOX_PLAN_DEVICES_H_
